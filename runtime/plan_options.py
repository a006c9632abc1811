"""How plans are built and where they are kept: what `build`, `run`, `bench` and `verify` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from catseye.runtime.plan import WORKSPACE_MIB, check_build_options


@dataclass(frozen=True)
class PlanOptions:
    """
    Args:
        cache: folder of the plans; None takes the user's cache.
        workspace_mib: most scratch memory a layer may use, in MiB.
        dla: the deep-learning accelerator's core to use, or None for the GPU alone.

    Raises:
        UsageError: an option cannot be.
    """

    cache: str | Path | None = None
    workspace_mib: int = WORKSPACE_MIB
    dla: int | None = None

    def __post_init__(self) -> None:
        check_build_options(workspace_mib=self.workspace_mib, dla=self.dla)
