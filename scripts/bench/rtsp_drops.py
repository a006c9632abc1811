"""A camera whose connection breaks again and again: is every frame recorded, or in a gap that is stated?

    python scripts/bench/rtsp_drops.py [--drops 50] [--seeds 1] [--results FILE] [--json]

A real RTSP server (GStreamer's, see ``numbered_rtsp.py``) films 25 numbered pictures a second, whoever looks,
and breaks the recorder's connection at random instants. Of every picture from the first recorded to the last
the footage is searched for its number. Those that are not there must lie in a gap that the journal states by
its own clock: one from the last frame before them to the first after them, give or take a frame and a half.
That clock is the arrival of packets, and so late by what a camera holds back at first, at worst by what is
stated too. Cases go to ``results/rtsp_drops.jsonl``, and those that are there are not run again unless the
recorder has changed.

Bounds: no frame that was sent is missing outside the stated gaps, every drop has its gap, and every closed
segment is what the journal says and decodes whole. Exits 1 when one is missed.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,bad,ugly}.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from case_results import config_of, run_cases
from numbered_camera import camera_process
from numbered_footage import footage_of, numbers_in, torn_lines

from catseye.capture import journal
from catseye.capture.journal import Gap
from catseye.capture.recording.options import RecordOptions, SourceSpec
from catseye.capture.recording.recorder import Recorder

RESULTS = Path(__file__).with_name("results") / "rtsp_drops.jsonl"
CODE = ("capture/recording", "capture/live.py", "capture/journal.py", "capture/backoff.py")
RATE = 25
TOLERANCE_S = 1.5 / RATE
SHORTEST_S, LONGEST_S = 0.1, 2.0
PATIENCE_S = 120.0
OPTIONS = RecordOptions(segment_s=5.0, read_timeout_s=3.0, longest_backoff_s=0.5)


class Server:
    """The camera's process: when each frame was filmed by number, and how often it dropped a connection."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._commands, self._told = process.stdin, process.stdout
        self.sent: set[int] = set()
        self.first_at_s = 0.0  # when number 0 was filmed, by the monotonic clock
        self._answers: list[int] = []
        self._answered = threading.Condition()
        self.port = int(json.loads(self._told.readline())["port"])
        threading.Thread(target=self._listen, daemon=True).start()

    def drop(self) -> int:
        """Break every connection; how many there were."""
        with self._answered:
            self._commands.write("drop\n")
            self._commands.flush()
            self._answered.wait_for(lambda: bool(self._answers), PATIENCE_S)
            return self._answers.pop()

    def _listen(self) -> None:
        for line in self._told:
            told = json.loads(line)
            if "dropped" in told:
                with self._answered:
                    self._answers.append(told["dropped"])
                    self._answered.notify()
            else:
                self.sent.add(told["number"])
                self.first_at_s = told["at_s"] - told["number"] / RATE


def run_case(seed: int, drops: int, out: Path) -> dict[str, Any]:
    """One recording with its connection broken so often: counts, and in words what does not hold."""
    draw = random.Random(seed)
    stop = threading.Event()
    with camera_process() as process:
        server = Server(process)
        spec = SourceSpec("front", f"rtsp://127.0.0.1:{server.port}/camera", "car")
        recorder = Recorder([spec], out, options=OPTIONS)
        thread = threading.Thread(target=recorder.run, kwargs={"stop": stop})
        thread.start()
        try:
            dropped = 0
            while dropped < drops:
                _wait_for_packets(recorder, reconnects=dropped)
                time.sleep(draw.uniform(SHORTEST_S, LONGEST_S))
                dropped += server.drop() > 0
            _wait_for_packets(recorder, reconnects=dropped)
        finally:
            stop.set()
            thread.join()
        status = recorder.status()[0]
    figures = account(spec.folder(out), server)
    return {"drops": dropped, "reconnects": status.reconnects, "dropped_packets": status.dropped, **figures}


def account(folder: Path, server: Server) -> dict[str, Any]:
    """Every frame from the first recorded to the last, against the footage and the journal's gaps."""
    found, faults = footage_of(folder)
    if torn := torn_lines(folder):
        faults.append(f"{torn} lines of the journal are not JSON")
    # The journal's clock is UTC; nothing sets it while this runs.
    first_utc_s = server.first_at_s + time.time() - time.monotonic()
    gaps = [
        (entry.from_utc.timestamp(), entry.to_utc.timestamp())
        for entry in journal.read(folder)
        if isinstance(entry, Gap)
    ]
    times = recorded_at(folder)
    in_gaps: set[int] = set()
    outside: set[int] = set()
    for before, after in pairwise(sorted(found)):
        begin, end = times[before] + TOLERANCE_S, times[after] - TOLERANCE_S
        is_stated = any(gap_begin <= begin and end <= gap_end for gap_begin, gap_end in gaps)
        (in_gaps if is_stated else outside).update(range(before + 1, after))
    return {
        "gaps": len(gaps),
        "gap_s": round(sum(end - begin for begin, end in gaps), 3),
        "frames_due": max(found) + 1 - min(found),
        "frames_sent": len(server.sent.intersection(range(min(found), max(found) + 1))),
        "frames_recorded": len(found),
        "frames_in_gaps": len(in_gaps),
        "frames_never_sent": len(outside - server.sent),
        "frames_lost_untold": len(outside & server.sent),
        "clock_late_s": round(max(times[n] - first_utc_s - n / RATE for n in found), 3),
        "faults": faults,
    }


def recorded_at(folder: Path) -> dict[int, float]:
    """By the journal, when each frame of a camera's segments was captured: seconds since 1970 by number."""
    return {
        number: line.start_utc.timestamp() + place / RATE
        for line in journal.segments(journal.read(folder)).values()
        for place, number in _placed(numbers_in(folder / line.file))
    }


def _placed(numbers: list[int]) -> list[tuple[int, int]]:
    """Numbers with how many frames after the first each is, which is how they are stamped."""
    return [(number - numbers[0], number) for number in numbers]


def is_accounted_for(case: dict[str, Any]) -> bool:
    return (
        not case["frames_lost_untold"]
        and case["gaps"] >= case["drops"]
        and case["frames_recorded"] > 0
        and not case["faults"]
    )


def _wait_for_packets(recorder: Recorder, *, reconnects: int) -> None:
    """Until packets come over a connection after so many others."""
    _wait(lambda: recorder.status()[0].reconnects >= reconnects)
    packets = recorder.status()[0].packets
    _wait(lambda: recorder.status()[0].packets > packets + 2)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit("the recorder takes no packets any more")
        time.sleep(0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--drops", type=int, default=50, help="broken connections a case")
    parser.add_argument("--seeds", type=int, default=1, help="cases")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    def run(seed: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return run_case(seed, arguments.drops, Path(folder))

    config = config_of((OPTIONS, arguments.drops), CODE)
    cases = list(
        run_cases("rtsp_drops", range(arguments.seeds), config=config, results=arguments.results, run=run)
    )
    passed = all(map(is_accounted_for, cases))
    if arguments.json:
        print(json.dumps({"cases": cases, "passed": passed}))
    else:
        from catseye.console import print_table

        names = [name for name in cases[0] if name != "faults"]
        rows = [(name.replace("_", " "), *(case[name] for case in cases)) for name in names]
        header = ("figure", *(f"seed {seed}" for seed in range(arguments.seeds)))
        print_table("A dropped connection's account, bound: no frame lost untold", header, rows)
        for fault in (fault for case in cases for fault in case["faults"]):
            print(fault)
        print("every frame is accounted for" if passed else "NOT every frame is accounted for")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
