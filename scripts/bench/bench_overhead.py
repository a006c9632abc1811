#!/usr/bin/env python3
"""Does ``catseye bench`` measure the engine, or itself?

    python scripts/bench/bench_overhead.py BUNDLE [--queries N] [--json]

The bundle's graph in one session of ONNX Runtime, one thread, on the same noise: called by nothing but
``session.run`` in a loop, as ``onnxruntime_perf_test`` does it, and by bench's SingleStream and Offline
through the engine. All three take turns of ten queries within one run, so that what else the machine does
hits all alike, and processor time is compared, which no other process adds to. A second figure is what the
clock, the loop and the account of bench cost by themselves, on an engine that does nothing.

Bounds: each scenario's median processor time a query at most 1.02 times that of the bare loop. Exits 1 when
one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np
import onnxruntime

from catseye.console import print_table
from catseye.runtime.benchmark.engine_load import EngineLoad, noise
from catseye.runtime.benchmark.scenarios import Budget, WallClock, closed_loop, offline
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine, make_session

BOUND = 1.02
TURN = 10
WARM_UP_TURNS = 2
IDLE_QUERIES = 20_000


class NoEngine:
    """Answers at once. Implements ``Engine``."""

    name = "none"
    _nothing = EngineOutput(*(np.zeros((1, 1), np.float32) for _ in range(2)), np.zeros((1, 1), np.int32))

    def infer(self, inputs: Inputs) -> EngineOutput:
        return self._nothing

    def close(self) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    manifest, graph = bundle.manifest, bundle.graph(bundle.manifest.cpu_precision)
    engine = OnnxRuntimeEngine(graph, threads=1)
    load = EngineLoad(engine, manifest)
    serve, clock = load.serve(load.batch), WallClock()
    session, inputs = make_session(graph, threads=1), noise(manifest)
    feeds = [dict(inputs[k % len(inputs)]) for k in range(TURN)]

    def bare_loop() -> None:
        for feed in feeds:
            session.run(None, feed)

    ways = {
        "session.run alone": bare_loop,
        "bench, SingleStream": lambda: closed_loop(serve, Budget(queries=TURN), clock=clock),
        "bench, Offline": lambda: offline(load.answers(range(TURN)), clock=clock),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-WARM_UP_TURNS, options.queries // TURN):
        for place in range(len(ways)):
            name = list(ways)[(turn + place) % len(ways)]
            before = thread_time()
            ways[name]()
            if turn >= 0:
                spent[name].append((thread_time() - before) / TURN)
    medians = {name: 1e3 * float(np.median(times)) for name, times in spent.items()}
    bare = medians["session.run alone"]
    ratios = {name: value / bare for name, value in medians.items()}
    began = perf_counter()
    closed_loop(EngineLoad(NoEngine(), manifest).serve(load.batch), Budget(queries=IDLE_QUERIES), clock=clock)
    idle_us = 1e6 * (perf_counter() - began) / IDLE_QUERIES
    met = all(ratio <= BOUND for ratio in ratios.values())
    if options.json:
        print(json.dumps({"median_ms": medians, "ratio": ratios, "own_us": idle_us, "met": met}, indent=2))
    else:
        rows = [
            (name, f"{medians[name]:.3f} ms", f"{ratio:.4f}", "ok" if ratio <= BOUND else "MISSED")
            for name, ratio in ratios.items()
        ]
        print_table(
            f"onnxruntime {onnxruntime.__version__}, one thread, {options.queries} queries; bound {BOUND}",
            ("way", "processor time a query", "ratio", ""),
            rows,
        )
        print(f"bench's own loop, on an engine that does nothing: {idle_us:.2f} µs a query")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
