"""What each preset costs: parameters, operations, and latency beside that of YOLOX-Nano.

    python scripts/bench/presets.py [--against yolox_nano_416.onnx] [--threads N] [--rounds N] [--json]

Each preset's whole detector, with random weights, is exported as ``catseye export`` does, depth, embeddings
and TopK included, and runs one frame on ONNX Runtime. YOLOX-Nano runs beside it, without the suppression of
doubles that it needs. All run in turns, one after the other in each round, with the same threads; a latency
ratio is the median over the rounds. Operations are counted as two a multiply-add, of convolutions and matrix
products.

Bounds: the detector of *nano* takes no more operations than 1.1 times the 1.08 GFLOPs that YOLOX-Nano is
published with and, where that is given, no more time than it. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from catseye.console import print_table
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.pretrain import PRESETS, FinetuneConfig
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.engines.onnxruntime import make_session
from catseye.runtime.manifest import Network

GIGAFLOPS_BOUND, LATENCY_BOUND = 1.1 * 1.08, 1.0
PEER = "YOLOX-Nano"
WARM_UP = 3


@dataclass(frozen=True)
class Cost:
    """Of one network; None where it was not counted or there is no peer to hold it to."""

    name: str
    encoder: str
    input: str
    parameters_m: float
    gflops: float
    encoder_gflops: float | None = None
    latency_ms: float | None = None
    latency_ratio: float | None = None

    def row(self) -> tuple[str, ...]:
        figures = (self.parameters_m, self.encoder_gflops, self.gflops, self.latency_ms, self.latency_ratio)
        shown = ["" if figure is None else f"{figure:.2f}" for figure in figures]
        return (self.name, self.encoder, self.input, *shown)


@dataclass(frozen=True)
class Candidate:
    """What is counted, and one pass of it."""

    cost: Cost
    run: Callable[[], object]


@torch.no_grad()
def detector_of(name: str, *, threads: int) -> Candidate:
    options = FinetuneConfig(**PRESETS[name].finetuning)
    torch.manual_seed(0)
    encoder = Encoder(options.encoder)
    detector = Detector(
        encoder,
        classes=("car",),
        embedding_dim=options.embedding_dim,
        neck_channels=options.neck_channels,
    ).eval()
    frame = torch.rand(1, 3, options.height, options.width)
    counts = []
    for network in (encoder, detector):
        with FlopCounterMode(display=False) as counter:
            network(frame)
        counts.append(counter.get_total_flops() / 1e9)
    network = Network(width=options.width, height=options.height, batch=1)
    exported = export_onnx(DeployedGraph(detector, top_k=100), network)
    session = make_session(exported.deployed, threads=threads)
    noise = np.random.default_rng(0).integers(0, 256, (1, options.height, options.width, 3), dtype=np.uint8)
    cost = Cost(
        name=name,
        encoder=options.encoder,
        input=f"{options.width}x{options.height}",
        parameters_m=sum(weight.numel() for weight in detector.parameters()) / 1e6,
        encoder_gflops=counts[0],
        gflops=counts[1],
    )
    return Candidate(cost, lambda: session.run(None, {INPUT_NAME: noise}))


def peer(path: Path, *, threads: int) -> Candidate:
    model = onnx.load(path)
    (frames,) = model.graph.input
    shape = [dim.dim_value for dim in frames.type.tensor_type.shape.dim]
    session = make_session(path.read_bytes(), threads=threads)
    picture = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    cost = Cost(
        name=PEER,
        encoder="",
        input=f"{shape[3]}x{shape[2]}",
        parameters_m=sum(math.prod(weight.dims) for weight in model.graph.initializer) / 1e6,
        gflops=operations(model) / 1e9,
    )
    return Candidate(cost, lambda: session.run(None, {frames.name: picture}))


def operations(model: onnx.ModelProto) -> int:
    """Operations of an ONNX model's convolutions, which must be all that it multiplies matrices with."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    weights = {weight.name: weight.dims for weight in graph.initializer}
    assert not {"MatMul", "Gemm", "ConvTranspose"} & {node.op_type for node in graph.node}
    return sum(
        2 * math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        for node in graph.node
        if node.op_type == "Conv"
    )


def timed(candidates: Sequence[Candidate], *, rounds: int) -> list[Cost]:
    """The same with their latencies, run in turns."""
    seconds = np.empty((rounds + WARM_UP, len(candidates)))
    for turn in seconds:
        for number, candidate in enumerate(candidates):
            began = time.perf_counter()
            candidate.run()
            turn[number] = time.perf_counter() - began
    by_name = {c.cost.name: column for c, column in zip(candidates, seconds[WARM_UP:].T, strict=True)}
    held_to = by_name.get(PEER)
    return [
        replace(
            candidate.cost,
            latency_ms=float(np.median(by_name[candidate.cost.name])) * 1e3,
            latency_ratio=None
            if held_to is None
            else float(np.median(by_name[candidate.cost.name] / held_to)),
        )
        for candidate in candidates
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="ONNX file of YOLOX-Nano at 416x416")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    candidates = [detector_of(name, threads=options.threads) for name in PRESETS]
    if options.against is not None:
        candidates.append(peer(options.against, threads=options.threads))
    costs = timed(candidates, rounds=options.rounds)
    nano = next(cost for cost in costs if cost.name == "nano")
    met = nano.gflops <= GIGAFLOPS_BOUND and (nano.latency_ratio or 0) <= LATENCY_BOUND
    if options.json:
        document = {"threads": options.threads, "networks": [asdict(cost) for cost in costs], "met": met}
        print(json.dumps(document, indent=2))
    else:
        header = ("", "encoder", "input", "M weights", "encoder GFLOPs", "GFLOPs", "ms", f"x {PEER}")
        print_table(f"One frame, {options.threads} thread(s)", header, [cost.row() for cost in costs])
        print("ok" if met else f"MISSED: nano takes {GIGAFLOPS_BOUND:.2f} GFLOPs and {LATENCY_BOUND} at most")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
