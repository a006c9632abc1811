"""Energy: what a frame costs, and what the board draws when it does nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from catseye.runtime.benchmark.board import Reading


class Energy(BaseModel):
    """Power over the time of a scenario.

    Args:
        readings: how many it rests on.
        mean_w: of the whole module; rails_w: of each rail.
        idle_w: of the whole module before anything was loaded; None where it was not measured.
        joules_per_frame: mean power times the time, over the frames.
        above_idle_joules_per_frame: the same of what is above idle.
    """

    model_config = ConfigDict(frozen=True)

    readings: int
    mean_w: float
    rails_w: dict[str, float]
    idle_w: float | None
    joules_per_frame: float
    above_idle_joules_per_frame: float | None


def mean_power_w(readings: Sequence[Reading]) -> float | None:
    """Mean over readings at even steps; None where no rail was read."""
    watts = [watt for reading in readings if (watt := reading.power_w) is not None]
    return float(np.mean(watts)) if watts else None


def energy(
    readings: Sequence[Reading], *, seconds: float, frames: int, idle_w: float | None
) -> Energy | None:
    """What ``frames`` took in ``seconds``; None without readings of power.

    Args:
        readings: of that time, at even steps.
    """
    mean_w = mean_power_w(readings)
    if mean_w is None or frames == 0:
        return None
    names = {name for reading in readings for name in reading.rails_w}
    return Energy(
        readings=len(readings),
        mean_w=mean_w,
        rails_w={
            name: float(np.mean([r.rails_w[name] for r in readings if name in r.rails_w]))
            for name in sorted(names)
        },
        idle_w=idle_w,
        joules_per_frame=mean_w * seconds / frames,
        above_idle_joules_per_frame=None if idle_w is None else (mean_w - idle_w) * seconds / frames,
    )
