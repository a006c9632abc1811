"""How many cores a process may use: not all that the machine has, where it is confined to some."""

from __future__ import annotations

import os
from collections.abc import Iterator

from catseye.runtime.system_files import SystemFiles

_HERE = SystemFiles()


def usable_cores(files: SystemFiles = _HERE) -> int:
    """Cores for one thread each: by affinity, by the quota of its control groups, and of the fastest kind.

    Work that is shared out evenly among fast and slow cores waits for the slow ones.
    """
    allowed = os.sched_getaffinity(0)
    speeds = {core: _speed(files, core) for core in allowed}
    fastest = sum(speed == max(speeds.values()) for speed in speeds.values())
    quota = cpu_quota(files)
    return max(1, fastest if quota is None else min(fastest, int(quota)))


def cpu_quota(files: SystemFiles = _HERE) -> float | None:
    """The least of the limits on this process's control group and those around it, in cores; None for no
    limit (kernel documentation: cgroup-v2, cpu.max; cgroup-v1, cpu.cfs_quota_us).

    Inside a container the group itself is often what lies at the root.
    """
    return min(_quotas(files), default=None)


def _quotas(files: SystemFiles) -> Iterator[float]:
    for line in files.text("proc/self/cgroup").splitlines() or ["0::/"]:
        _, controllers, path = line.split(":", maxsplit=2)
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) + 1):
            group = "/".join(parts[:depth])
            if not controllers:
                yield from _share(*files.text(f"sys/fs/cgroup/{group}/cpu.max").split())
            elif "cpu" in controllers.split(","):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                yield from _share(*(files.text(f"sys/fs/cgroup/cpu/{group}/{name}") for name in names))


def _share(quota: str = "", period: str = "") -> Iterator[float]:
    if quota.isdigit() and period.isdigit():  # and not "max", or −1
        yield int(quota) / int(period)


def _speed(files: SystemFiles, core: int) -> float:
    """A core's share of the fastest one's, as Linux states it on ARM; alike where it states nothing."""
    return files.number(f"sys/devices/system/cpu/cpu{core}/cpu_capacity") or 0
