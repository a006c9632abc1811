"""A camera whose server goes away again and again: how soon are its frames back, and does anything leak?

    python scripts/bench/live_drops.py [--drops 50] [--sources av,gstreamer] [--seed 0] [--json]

A real RTSP server (GStreamer's, see ``numbered_rtsp.py``) takes down every connection and refuses new ones
for a time drawn between 0 and 4 s, as a camera that starts anew or a network that is gone. From its return to
the first frame that a source of ``run`` gives it is measured: all waits of the source, connecting, the
server's own start and its first key frame included. Threads, descriptors and resident memory are counted
after the third recovery, after the last and once the source is closed; libraries keep an idle thread for
some seconds, which are waited. A network that swallows packets without a word is not among the outages: there
a source first waits for its time-out.

Bounds: each recovery within 2 s; no more threads and descriptors after the last than after the third, and
none left but those of before once it is closed. Exits 1 when one is missed.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-{libav,plugins-{base,good,bad,ugly}}.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from numbered_camera import camera_process

from catseye.runtime.sources.base import Source
from catseye.runtime.sources.camera import CameraSource
from catseye.runtime.sources.gstreamer import GStreamerSource

LONGEST_OUTAGE_S = 4.0
BOUND_S = 2.0
PATIENCE_S = 30.0
SETTLING_S = 2.0
WARM_DROPS = 3

SOURCES: dict[str, Callable[[str], Source]] = {
    "av": CameraSource,
    "gstreamer": lambda address: GStreamerSource(address, hardware="software"),
}


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    threads: int
    descriptors: int
    resident_mib: float

    @classmethod
    def now(cls) -> Held:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            threads=_count("task"),
            descriptors=_count("fd"),
            resident_mib=round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        )


def _count(what: str) -> int:
    return sum(1 for _ in Path("/proc/self", what).iterdir())


class Server:
    """The camera's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._commands, told = process.stdin, process.stdout
        self.address = f"rtsp://127.0.0.1:{json.loads(told.readline())['port']}/camera"
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    def obey(self, word: str) -> dict[str, Any]:
        self._commands.write(f"{word}\n")
        self._commands.flush()
        return self._answers.get(timeout=PATIENCE_S)

    def _listen(self, told: Any) -> None:
        for line in told:
            if "number" not in (answer := json.loads(line)):
                self._answers.put(answer)


class Viewer:
    """Takes a source's frames in a thread, and notes when the newest epoch began."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.epoch, self.began_s, self.frames = -1, 0.0, 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._view)
        self._thread.start()

    def wait_for(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(holds, PATIENCE_S):
                raise SystemExit(f"{self.source.name} gives no frames any more")

    def close(self) -> None:
        self.source.close()
        self._thread.join()

    def _view(self) -> None:
        for frame in self.source.frames():
            with self._changed:
                self.frames += 1
                if frame.epoch != self.epoch:
                    self.epoch, self.began_s = frame.epoch, time.monotonic()
                self._changed.notify_all()


def run_case(make: Callable[[str], Source], drops: int, seed: int) -> dict[str, Any]:
    """How long each recovery took, and what was held before, during and after."""
    draw = random.Random(seed)
    recoveries: list[float] = []
    with camera_process() as process:
        server = Server(process)
        _open_and_close(make(server.address))  # libraries load, and keep what they keep
        before = Held.now()
        viewer = Viewer(make(server.address))
        viewer.wait_for(lambda: viewer.frames >= 2)
        warm = Held.now()
        for drop in range(drops):
            epoch = viewer.epoch
            server.obey("down")
            time.sleep(draw.uniform(0, LONGEST_OUTAGE_S))
            up_at_s = server.obey("up")["up_at_s"]
            viewer.wait_for(lambda epoch=epoch: viewer.epoch > epoch)
            recoveries.append(viewer.began_s - up_at_s)
            if drop + 1 == min(WARM_DROPS, drops):
                time.sleep(SETTLING_S)
                warm = Held.now()
        time.sleep(SETTLING_S)
        last = _settled(warm)
        viewer.close()
        after = _settled(before)
    ordered = sorted(recoveries)
    return {
        "drops": drops,
        "recovery_median_s": round(ordered[len(ordered) // 2], 3),
        "recovery_longest_s": round(ordered[-1], 3),
        **{f"threads_{name}": held.threads for name, held in _named(before, warm, last, after)},
        **{f"descriptors_{name}": held.descriptors for name, held in _named(before, warm, last, after)},
        **{f"resident_mib_{name}": held.resident_mib for name, held in _named(before, warm, last, after)},
    }


def passes(case: dict[str, Any]) -> bool:
    return case["recovery_longest_s"] <= BOUND_S and all(
        case[f"{what}_last"] <= case[f"{what}_warm"] and case[f"{what}_closed"] <= case[f"{what}_before"]
        for what in ("threads", "descriptors")
    )


def _named(*held: Held) -> Iterator[tuple[str, Held]]:
    return zip(("before", "warm", "last", "closed"), held, strict=True)


def _open_and_close(source: Source) -> None:
    frames = source.frames()
    for _ in islice(frames, 2):
        pass
    source.close()
    for _ in frames:
        pass
    time.sleep(SETTLING_S)


def _settled(bound: Held) -> Held:
    """What is held once it is no more than that, or half a minute later: GLib keeps idle threads 15 s."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        now = Held.now()
        is_back = now.threads <= bound.threads and now.descriptors <= bound.descriptors
        if is_back or time.monotonic() > deadline_s:
            return now
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--sources", default=",".join(SOURCES), help="which, after commas")
    parser.add_argument("--seed", type=int, default=0, help="of the outages' lengths")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable()
    names = arguments.sources.split(",")
    if unknown := set(names) - set(SOURCES):
        parser.error(f"--sources: no {', '.join(unknown)}; there are {', '.join(SOURCES)}")
    cases = {name: run_case(SOURCES[name], arguments.drops, arguments.seed) for name in names}
    passed = all(map(passes, cases.values()))
    if arguments.json:
        print(json.dumps({"cases": cases, "passed": passed}))
    else:
        from catseye.console import print_table

        figures = next(iter(cases.values()))
        rows = [(key.replace("_", " "), *(case[key] for case in cases.values())) for key in figures]
        print_table(f"Recovery from outages, bound: {BOUND_S:g} s, nothing leaked", ("figure", *cases), rows)
        print("all recovered, nothing leaked" if passed else "NOT all within the bounds")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
