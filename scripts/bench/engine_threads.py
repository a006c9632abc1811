#!/usr/bin/env python3
"""How many threads ONNX Runtime should have beside a decoder, and whether they should wait busily.

    python scripts/bench/engine_threads.py --bundle FILE --video FILE [--rounds 5] [--json]

As in a run, one thread decodes the video while another calls the engine once a frame, on all cores that this
process may use. In turns: each number of threads, waiting idle or busily. By the clock on the wall and by
processor time a frame, and as the median ratio to what a run takes of itself, all cores and idle waiting.

Bound: nothing else is faster than 0.9 of that. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter, process_time

import numpy as np
import onnxruntime

from catseye.capture.sources import VideoFile
from catseye.console import print_table
from catseye.runtime.bundle import open_bundle
from catseye.runtime.cores import usable_cores

BOUND = 0.9


def session_of(graph: bytes, threads: int, *, busy: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(busy)))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def spent(session: onnxruntime.InferenceSession, video: Path) -> tuple[float, float]:
    """Milliseconds a frame, by the wall and of processor."""
    inputs = {given.name: np.zeros(given.shape, np.uint8) for given in session.get_inputs()}
    counted: list[int] = []
    decoder = Thread(target=lambda: counted.append(decoded(video)))
    wall, processor, calls = perf_counter(), process_time(), 0
    decoder.start()
    while not counted or calls < counted[0]:
        session.run(None, inputs)
        calls += 1
    return 1e3 * (perf_counter() - wall) / calls, 1e3 * (process_time() - processor) / calls


def decoded(video: Path) -> int:
    with VideoFile(video) as file:
        return sum(1 for _ in file.frames())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    graph, cores = open_bundle(options.bundle).graph(), usable_cores()
    cases = [(threads, busy) for threads in range(1, cores + 1) for busy in (False, True)]
    sessions = {case: session_of(graph, case[0], busy=case[1]) for case in cases}
    found: dict[tuple[int, bool], list[tuple[float, float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case, session in sessions.items():
            found[case].append(spent(session, options.video))
    ours = [wall for wall, _ in found[cores, False]]
    rows = []
    for (threads, busy), times in found.items():
        walls, processors = zip(*times, strict=True)
        ratio = median(wall / own for wall, own in zip(walls, ours, strict=True))
        rows.append(
            {"threads": threads, "waits": "busily" if busy else "idle", "wall_ms": median(walls),
             "processor_ms": median(processors), "ratio": ratio}
        )  # fmt: skip
    missed = [row for row in rows if row["ratio"] < BOUND]
    if options.json:
        print(json.dumps({"figures": rows, "missed": missed}))
    else:
        cells = [[f"{v:.2f}" if isinstance(v, float) else v for v in row.values()] for row in rows]
        print_table(f"{cores} cores", list(rows[0]), cells)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
