"""What disturbs a measurement: other work on the machine, a container's limit, clocks that change, heat."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from catseye.runtime.benchmark.board import Board, Reading
from catseye.runtime.system_files import SystemFiles

OTHER_LOAD = 0.05
"""Share of the cores' time that others may take before it is told."""
_CLOCK_DROP = 0.97
_IDLE_FIELDS = (3, 4)  # idle and iowait in /proc/stat


@dataclass(frozen=True)
class Moment:
    """Counters at one time: what lies between two of them is told by ``disturbances``.

    Args:
        at_s: seconds of ``perf_counter``.
        busy_s: of all cores since the machine started, stolen by its host included; None where unknown.
        own_s: processor time of this process and of those it has waited for.
        cores: that it may use.
        throttled: how often the container was held back, and the machine slowed itself down.
    """

    at_s: float
    busy_s: float | None
    own_s: float
    cores: int
    throttled: Mapping[str, int]

    @classmethod
    def now(cls, board: Board, files: SystemFiles | None = None) -> Moment:
        files = files or SystemFiles()
        times = os.times()
        return cls(
            at_s=perf_counter(),
            busy_s=_busy_s(files),
            own_s=times.user + times.system + times.children_user + times.children_system,
            cores=len(os.sched_getaffinity(0)),
            throttled={**board.throttled(), **_held_back(files)},
        )


def disturbances(
    before: Moment, after: Moment, *, readings: Sequence[Reading] = (), governor: str = ""
) -> list[str]:
    """What is to be told beside the figures, a sentence each; none where nothing was noticed."""
    told = []
    seconds = after.at_s - before.at_s
    if before.busy_s is not None and after.busy_s is not None and seconds > 0:
        others = (after.busy_s - before.busy_s - (after.own_s - before.own_s)) / seconds
        if others > OTHER_LOAD * before.cores:
            told.append(
                f"other processes took {others:.2f} cores on average: latencies are higher than alone"
            )
    if before.cores != after.cores:
        told.append(f"the cores that may be used went from {before.cores} to {after.cores}")
    for reason, count in after.throttled.items():
        if count > before.throttled.get(reason, 0):
            told.append(f"{reason}: slowed down {count - before.throttled.get(reason, 0)} times meanwhile")
    if governor and governor != "performance":
        told.append(f"the processor's clock is chosen by {governor!r}, not fixed")
    for name, clocks in _by_name(readings).items():
        if min(clocks) < _CLOCK_DROP * max(clocks):
            told.append(f"clock of {name} went between {min(clocks):.0f} and {max(clocks):.0f} MHz")
    return told


def _by_name(readings: Sequence[Reading]) -> dict[str, list[float]]:
    names = {name for reading in readings for name in reading.clocks_mhz}
    return {
        name: [reading.clocks_mhz[name] for reading in readings if name in reading.clocks_mhz]
        for name in sorted(names)
    }


def _busy_s(files: SystemFiles) -> float | None:
    """By proc(5): user, nice, system, idle, iowait, irq, softirq, steal, and guests counted before."""
    fields = files.text("proc/stat").partition("\n")[0].split()[1:9]
    if len(fields) < max(_IDLE_FIELDS) + 1:
        return None
    ticks = [int(field) for number, field in enumerate(fields) if number not in _IDLE_FIELDS]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def _held_back(files: SystemFiles) -> dict[str, int]:
    """How often this process's control group has used up its share of the processor."""
    counts = {}
    for line in files.text("proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = "sys/fs/cgroup/cpu" if controllers else "sys/fs/cgroup"
        for group in (path.strip("/"), ""):
            for stat in files.text(f"{folder}/{group}/cpu.stat").splitlines():
                name, _, value = stat.partition(" ")
                if name == "nr_throttled":
                    counts["the container's limit"] = int(value)
    return counts
