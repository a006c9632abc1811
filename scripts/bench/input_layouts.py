#!/usr/bin/env python3
"""What planes save: from a decoded 720p frame to the engine's outputs, by a graph for RGB and one for NV12.

    python scripts/bench/input_layouts.py [RUN] [--video FILE] [--frames N] [--json]

RUN is a finished fine-tuning run; without it, the preset *nano* with random weights. Without a video one of
1280x720 is rendered. Each frame goes through three ways in turns: RGB, planes of the stream's own colour, and
planes whose matrix and range are to be converted as well. Times are the median work of one thread for one
frame, on ONNX Runtime: what is done before the engine (resizing, and what is left of conversion), and the
engine. A ratio is the median over the frames.

Bounds: what comes before the engine takes at most 0.6 times as long for planes as for RGB, and both together
no longer. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time

import cv2
import numpy as np
import torch

from catseye.capture.sources import Frame, VideoFile
from catseye.console import print_table
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.pretrain import PRESETS, FinetuneConfig
from catseye.pretrain.detector import Detector, load_detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.benchmark import render
from catseye.runtime.bundle import Colour, Network
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.network_input import network_input, stacked

BEFORE_BOUND, TOTAL_BOUND = 0.6, 1.0
WARM_UP = 10


@dataclass(frozen=True)
class Way:
    """From frame to outputs by one graph."""

    name: str
    network: Network
    engine: OnnxRuntimeEngine

    def times_s(self, frame: Frame) -> tuple[float, float]:
        """Work before the engine, and the engine's."""
        began = thread_time()
        inputs = stacked([network_input(frame.planes, self.network)])
        between = thread_time()
        self.engine.infer(inputs)
        return between - began, thread_time() - between


@dataclass(frozen=True)
class Cost:
    """Medians of one way, and its ratios to the way by RGB."""

    name: str
    before_ms: float
    engine_ms: float
    before_ratio: float
    engine_ratio: float
    total_ratio: float

    def __bool__(self) -> bool:
        return self.name == "rgb8" or (self.before_ratio <= BEFORE_BOUND and self.total_ratio <= TOTAL_BOUND)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector, width, height = read_run(options.run) if options.run is not None else nano()
    with TemporaryDirectory() as folder:
        video = options.video or Path(folder) / "rendered.mp4"
        if options.video is None:
            render(video)
        frames = read(video, WARM_UP + options.frames)
    planes = frames[0].planes
    own = Colour(matrix=planes.matrix, full_range=planes.full_range)
    other = Colour(matrix="bt601" if own.matrix == "bt709" else "bt709", full_range=not own.full_range)
    colours = {"rgb8": None, "nv12": own, "nv12, converted": other}
    ways = [way(name, detector, colour, width, height) for name, colour in colours.items()]
    costs = measure(ways, frames)
    if options.json:
        print(json.dumps({"ways": [asdict(cost) for cost in costs], "met": all(costs)}, indent=2))
    else:
        source = f"{planes.width}x{planes.height} to {width}x{height}, {len(frames) - WARM_UP} frames"
        show(costs, source)
    return 0 if all(costs) else 1


def read_run(run: Path) -> tuple[Detector, int, int]:
    detector, info = load_detector(run)
    return detector, info.width, info.height


def nano() -> tuple[Detector, int, int]:
    preset = FinetuneConfig(**PRESETS["nano"].finetuning)
    torch.manual_seed(0)
    sizes = {"embedding_dim": preset.embedding_dim, "neck_channels": preset.neck_channels}
    detector = Detector(Encoder(preset.encoder), classes=("car",), **sizes).eval()
    return detector, preset.width, preset.height


def way(name: str, detector: Detector, colour: Colour | None, width: int, height: int) -> Way:
    layout = "rgb8" if colour is None else "nv12"
    network = Network(width=width, height=height, batch=1, input=layout, colour=colour)
    graph = export_onnx(DeployedGraph(detector, top_k=100, colour=colour), network)
    return Way(name, network, OnnxRuntimeEngine(graph.deployed, threads=1))


def read(video: Path, count: int) -> list[Frame]:
    with VideoFile(video, threads=1) as file:
        return list(islice(file.frames(), count))


def measure(ways: Sequence[Way], frames: Sequence[Frame]) -> list[Cost]:
    spent = np.array([[way.times_s(frame) for way in ways] for frame in frames])[WARM_UP:]
    before, engine = spent[..., 0], spent[..., 1]
    total = before + engine
    return [
        Cost(
            name=way.name,
            before_ms=1e3 * float(np.median(before[:, number])),
            engine_ms=1e3 * float(np.median(engine[:, number])),
            before_ratio=float(np.median(before[:, number] / before[:, 0])),
            engine_ratio=float(np.median(engine[:, number] / engine[:, 0])),
            total_ratio=float(np.median(total[:, number] / total[:, 0])),
        )
        for number, way in enumerate(ways)
    ]


def show(costs: Sequence[Cost], source: str) -> None:
    header = ("input", "before the engine", "engine", "before, x rgb8", "engine", "both", "")
    rows = [
        (
            cost.name,
            f"{cost.before_ms:.2f} ms",
            f"{cost.engine_ms:.2f} ms",
            f"{cost.before_ratio:.2f}",
            f"{cost.engine_ratio:.3f}",
            f"{cost.total_ratio:.3f}",
            "ok" if cost else "MISSED",
        )
        for cost in costs
    ]
    print_table(f"{source}; bounds {BEFORE_BOUND} before, {TOTAL_BOUND} both", header, rows)


if __name__ == "__main__":
    sys.exit(main())
