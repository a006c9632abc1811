#!/usr/bin/env python3
"""What planes save on the way from a decoded frame to the engine, and what their conversion costs inside it.

    python scripts/bench/input_layouts.py [RUN] [--video FILE] [--size 448x256] [--frames N] [--json]

RUN is a finished fine-tuning run; without it, the preset *nano* with random weights. Without a video one of
1280x720 is rendered. Each frame goes three ways in turns: as RGB, as planes of the stream's own colour, and
as planes whose matrix and range are to be converted as well. Times are the median work of one thread for one
frame: resizing, which all share, what is left to do after it, and the engine, which is ONNX Runtime on the
processor. A ratio is one of medians.

Bounds: what is left after resizing takes planes at most 0.8 times as long as RGB, and 1.5 times where their
colour is converted. Exits 1 when one is missed. The engine is not bound: where OpenCV would convert a frame
quicker than ONNX Runtime does, planes are for engines on a GPU.
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

from catseye.capture.geometry import resize_planes
from catseye.capture.sources import Frame, VideoFile
from catseye.console import print_table
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.pretrain import PRESETS, FinetuneConfig
from catseye.pretrain.detector import Detector, load_detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.benchmark import render
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Colour, Network
from catseye.runtime.network_input import network_input, stacked

BOUNDS = {"rgb8": 1.0, "nv12": 0.8, "nv12, converted": 1.5}
WARM_UP = 10


@dataclass(frozen=True)
class Way:
    """From frame to outputs by one graph."""

    name: str
    network: Network
    engine: OnnxRuntimeEngine

    def times_s(self, frame: Frame) -> tuple[float, float, float]:
        """Work of resizing, of what is left before the engine, and the engine's."""
        began = thread_time()
        scaled = resize_planes(frame.planes, self.network.letterbox(frame.planes.width, frame.planes.height))
        resized = thread_time()
        inputs = stacked([network_input(scaled, self.network)])  # which resizes nothing any more
        ready = thread_time()
        self.engine.infer(inputs)
        return resized - began, ready - resized, thread_time() - ready


@dataclass(frozen=True)
class Cost:
    """Medians of one way, and its ratios to the way by RGB."""

    name: str
    resize_ms: float
    rest_ms: float
    engine_ms: float
    rest_ratio: float
    before_ratio: float
    engine_ratio: float

    def __bool__(self) -> bool:
        return self.rest_ratio <= BOUNDS[self.name]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--size", help="WIDTHxHEIGHT of the network's input in place of the run's")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector, width, height = read_run(options.run) if options.run is not None else nano()
    if options.size:
        width, height = map(int, options.size.split("x"))
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
    resize, rest, engine = np.moveaxis(spent, 2, 0)
    before = resize + rest

    def ratio(times: np.ndarray, number: int) -> float:
        return float(np.median(times[:, number]) / np.median(times[:, 0]))

    return [
        Cost(
            name=way.name,
            resize_ms=1e3 * float(np.median(resize[:, number])),
            rest_ms=1e3 * float(np.median(rest[:, number])),
            engine_ms=1e3 * float(np.median(engine[:, number])),
            rest_ratio=ratio(rest, number),
            before_ratio=ratio(before, number),
            engine_ratio=ratio(engine, number),
        )
        for number, way in enumerate(ways)
    ]


def show(costs: Sequence[Cost], source: str) -> None:
    header = ("input", "resize", "rest", "engine", "rest, x rgb8", "all before", "engine", "")
    rows = [
        (
            cost.name,
            f"{cost.resize_ms:.2f} ms",
            f"{cost.rest_ms:.2f} ms",
            f"{cost.engine_ms:.2f} ms",
            f"{cost.rest_ratio:.2f}",
            f"{cost.before_ratio:.2f}",
            f"{cost.engine_ratio:.2f}",
            "ok" if cost else "MISSED",
        )
        for cost in costs
    ]
    print_table(source, header, rows)


if __name__ == "__main__":
    sys.exit(main())
