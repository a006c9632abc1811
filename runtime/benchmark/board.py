"""What a board tells of itself while it works: power by rail, temperatures, clocks, and when it throttles.

From Linux's own files, which ``jtop`` and ``tegrastats`` read too: INA3221 monitors (kernel documentation,
hwmon/ina3221: bus voltage in mV, current in mA), thermal zones (millidegrees), cpufreq (kHz), devfreq (Hz),
the memory controller's clock, for which only root may ask, and over-current events of a Jetson's soctherm.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from catseye.runtime.system_files import SystemFiles

PERIOD_S = 0.1
_MONITORS = ("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*", "sys/class/hwmon/hwmon*")
_WHOLE = ("VDD_IN", "POM_5V_IN")
"""Rails through which all of a module's power comes, where it has such a one."""
_NO_RAIL = re.compile(r"^NC\b|sum of shunt", re.IGNORECASE)
_EMC = ("sys/kernel/debug/bpmp/debug/clk/emc/rate", "sys/class/devfreq/bwmgr/cur_freq")


@dataclass(frozen=True)
class Reading:
    """One look: seconds of ``perf_counter``, watts by rail, degrees Celsius by zone, MHz by clock."""

    at_s: float
    rails_w: Mapping[str, float]
    temperatures_c: Mapping[str, float]
    clocks_mhz: Mapping[str, float]

    @property
    def power_w(self) -> float | None:
        """Of the whole module; where no rail carries all of it, the sum of those that are measured, as
        ``jtop`` has it: an AGX's monitors sit on some rails only."""
        if not self.rails_w:
            return None
        whole = [self.rails_w[name] for name in _WHOLE if name in self.rails_w]
        return whole[0] if whole else sum(self.rails_w.values())


class Board:
    """The sensors that there are, found once.

    Args:
        files: a system's.
    """

    def __init__(self, files: SystemFiles | None = None) -> None:
        self._files = files = files or SystemFiles()
        self._rails = dict(_find_rails(files))
        self._zones = {
            name: f"{zone}/temp"
            for zone in files.find("sys/class/thermal/thermal_zone*")
            if (name := files.text(f"{zone}/type")) and files.number(f"{zone}/temp") is not None
        }
        self._clocks = dict(_find_clocks(files))

    def __bool__(self) -> bool:
        return bool(self._rails or self._zones or self._clocks)

    def read(self) -> Reading:
        """Look at all sensors; one that does not answer now is left out."""
        number = self._files.number
        rails = {
            name: volts * amperes / 1e6
            for name, (voltage, current) in self._rails.items()
            if (volts := number(voltage)) is not None and (amperes := number(current)) is not None
        }
        zones = {name: t / 1e3 for name, file in self._zones.items() if (t := number(file)) is not None}
        clocks = {
            name: hz / per_mhz
            for name, (file, per_mhz) in self._clocks.items()
            if (hz := number(file)) is not None
        }
        return Reading(perf_counter(), rails, zones, clocks)

    def throttled(self) -> dict[str, int]:
        """How often, since it was started, the machine has slowed itself down, by reason."""
        files = self._files
        events = {
            name.rpartition("/")[2].removesuffix("_event_cnt"): name
            for name in files.find("sys/class/hwmon/hwmon*/oc*_event_cnt")
        }
        for name in files.find("sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"):
            events[name.split("/")[4]] = name
        counts = {reason: files.number(name) for reason, name in events.items()}
        return {reason: int(count) for reason, count in counts.items() if count is not None}


@dataclass
class Log:
    """Readings in the order of their time."""

    readings: list[Reading] = field(default_factory=list)

    def between(self, began_s: float, ended_s: float) -> list[Reading]:
        return [reading for reading in self.readings if began_s <= reading.at_s <= ended_s]


@contextmanager
def watched(board: Board, *, period_s: float = PERIOD_S) -> Iterator[Log]:
    """Read a board's sensors in a thread, all the while; none is started where there are no sensors."""
    log = Log()
    if not board:
        yield log
        return
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(period_s):
            log.readings.append(board.read())

    thread = threading.Thread(target=watch, name="board", daemon=True)
    thread.start()
    try:
        yield log
    finally:
        stop.set()
        thread.join()


def _find_rails(files: SystemFiles) -> Iterator[tuple[str, tuple[str, str]]]:
    """Files of voltage and current by rail; channels from 4 on are sums and shunts."""
    for pattern in _MONITORS:
        for monitor in files.find(pattern):
            if files.text(f"{monitor}/name") not in {"", "ina3221"}:
                continue
            for channel in "123":
                name = files.text(f"{monitor}/in{channel}_label")
                current = f"{monitor}/curr{channel}_input"
                if name and not _NO_RAIL.search(name) and files.number(current) is not None:
                    yield name, (f"{monitor}/in{channel}_input", current)


def _find_clocks(files: SystemFiles) -> Iterator[tuple[str, tuple[str, float]]]:
    """Files of clocks by what they drive, and how many of the file's units make a megahertz."""
    for policy in files.find("sys/devices/system/cpu/cpufreq/policy*"):
        yield f"cpu {policy.rpartition('policy')[2]}", (f"{policy}/scaling_cur_freq", 1e3)
    for device in files.find("sys/class/devfreq/*"):
        name = files.text(f"{device}/device/of_node/name")
        if name in {"gpu", "ga10b", "gv11b", "gp10b"} or "gpu" in device.rpartition("/")[2]:
            yield "gpu", (f"{device}/cur_freq", 1e6)
    for file in _EMC:
        if files.number(file) is not None:
            yield "memory", (file, 1e6)
