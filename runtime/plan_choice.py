"""Which plan to serve now, and whether to build: decided from what is known, with nothing done yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from catseye.runtime.plan_cache import PlanEntry, PlanKey


@dataclass(frozen=True)
class PlanChoice:
    """What to do for a key.

    Args:
        do: ``serve`` the entry; ``serve-and-rebuild``: serve it, once it has replayed the proof here, while
            the right one is built; ``build`` before anything is served; or ``refuse``, since the plan for
            exactly this key was built and failed its proof.
        entry: of the plan to serve, or of the one that failed.
    """

    do: Literal["serve", "serve-and-rebuild", "build", "refuse"]
    entry: PlanEntry | None = None


def plan_for(wanted: PlanKey, entries: Sequence[PlanEntry]) -> PlanChoice:
    """Choose among plans, the most recently used first.

    A plan of another bundle, precision or DLA core is another network's. One that was built under another
    driver, CUDA or JetPack, or with another workspace, is the same network and loads where GPU and TensorRT
    are the same.
    """
    exact = next((entry for entry in entries if entry.key == wanted), None)
    if exact is not None:
        return PlanChoice("serve" if exact.proven else "refuse", exact)
    for entry in entries:
        if (
            entry.proven
            and _same_network(entry.key, wanted)
            and wanted.device.loads_plans_of(entry.key.device)
        ):
            return PlanChoice("serve-and-rebuild", entry)
    return PlanChoice("build")


def _same_network(a: PlanKey, b: PlanKey) -> bool:
    return (a.bundle_sha256, a.precision, a.dla) == (b.bundle_sha256, b.precision, b.dla)
