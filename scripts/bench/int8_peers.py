#!/usr/bin/env python3
"""Our int8 beside ONNX Runtime's, NVIDIA ModelOpt's and Ultralytics', of one graph on the same frames.

    python scripts/bench/int8_peers.py (--run RUN | --bundle BUNDLE) --data DIR --tools PYTHON [--json]

PYTHON is the interpreter of an environment with ``nvidia-modelopt``, ``ultralytics``, ``onnx`` and
``onnxruntime``; neither tool is a dependency of this project. Every tool gets the same ONNX file and the same
64 calibration frames, chosen from the stills of ``train.txt``; what it makes is measured on all of
``test.txt`` as ``precisions.py`` measures, on ONNX Runtime, and compiled with TensorRT for RTX where that is
installed. CPU time is a ratio to that of the float32 graph, measured in turns on one thread.

- *onnxruntime* as it comes: ``quantize_static`` with no options. *onnxruntime, for TensorRT*: symmetric, per
  channel, float biases.
- *ModelOpt*: ``quantize`` with each of its calibration methods, what is not int8 left in float32. As it comes
  it quantises the differences and sums of box decoding and what goes into TopK; *heads and decoding float*
  excludes the last layers, what decodes and what prepares the input, by name.
- *Ultralytics ONNX*: its own ``onnx_int8_quantize``. *Ultralytics engine*: what its exporter does for
  TensorRT 11: ModelOpt by largest magnitude and half precision elsewhere, its pattern for head layers given
  as the names that it stands for here. For TensorRT 10 it calibrates inside the builder, which takes a GPU,
  and TensorRT 11 has that no more; it cannot be measured here.

Bounds: our AP50 of all objects at most 0.01 below the best of those that TensorRT compiles. Exits 1 when that
is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from precisions import FIGURES, Stills, latencies, training_stills

from catseye.capture.geometry import Image
from catseye.console import print_table, progress_bars
from catseye.errors import CatseyeError
from catseye.export import export
from catseye.export.calibration_frames import calibration_frames
from catseye.export.onnx_files import inferred
from catseye.export.onnx_graph import GraphIndex
from catseye.export.precisions import Ranges, convert
from catseye.model import BundleModel
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.plan import build_plan

BOUND = 0.01
FRAMES = 64
OURS = "ours"
TOOLS = {
    "onnxruntime": "onnxruntime",
    "onnxruntime, for TensorRT": "onnxruntime-tensorrt",
    "ModelOpt, max": "modelopt-max",
    "ModelOpt, entropy": "modelopt-entropy",
    "ModelOpt, max, heads and decoding float": "modelopt-max-float",
    "ModelOpt, entropy, heads and decoding float": "modelopt-entropy-float",
    "Ultralytics ONNX": "ultralytics-onnx",
    "Ultralytics engine": "ultralytics-engine",
}
_TOOL = Path(__file__).with_name("int8_tools.py")


@dataclass(frozen=True)
class Row:
    """What was measured of one tool's graph, or why there is none.

    Args:
        figures: ``FIGURES``; empty where there is nothing to measure.
        ratio: CPU time by that of float32.
        plan: what TensorRT says.
    """

    name: str
    figures: tuple[float, ...] = ()
    ratio: float = float("nan")
    plan: str = ""
    fault: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path)
    source.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--tool", choices=TOOLS, action="append", help="of all; repeatable")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch, training_stills(options.data) as train:
        path = options.bundle or Path(scratch) / "measured.catseye"
        if options.run is not None:
            export(options.run, path, precisions=["fp32"])
        bundle = open_bundle(path)
        size = {"width": bundle.manifest.network.width, "height": bundle.manifest.network.height}
        frames = calibration_frames([train], count=FRAMES, **size)
        graphs = {
            "fp32": bundle.graph("fp32"),
            OURS: convert(
                bundle.graph("fp32"), "int8", Ranges(bundle.graph("fp32"), {INPUT_NAME: frames}, batch=1)
            ),
        }
        graphs |= peers(
            bundle, frames, folder=Path(scratch), tools=options.tools, names=options.tool or TOOLS
        )
        rows = list(measured(bundle, graphs, frames, Stills.of(options.data, "test")))
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    compiled = [row.figures[0] for row in rows[1:] if row.plan == "compiles"]
    ours = next(row for row in rows if row.name == OURS)
    return 0 if ours.plan == "compiles" and ours.figures[0] >= max(compiled) - BOUND else 1


def peers(
    bundle: Bundle, frames: Image, *, folder: Path, tools: Path, names: Iterable[str]
) -> dict[str, bytes | str]:
    """Each tool's graph, or in one line why it made none."""
    graph, recorded = folder / "fp32.onnx", folder / "frames.npy"
    graph.write_bytes(bundle.graph("fp32"))
    np.save(recorded, frames)
    index = GraphIndex(inferred(onnx.load(graph)))
    heads, around = sorted(index.predictors()), sorted(index.prologue() | index.epilogue())
    made: dict[str, bytes | str] = {}
    for name in names:
        tool = TOOLS[name]
        out = folder / f"{tool}.onnx"
        told = subprocess.run(
            [tools, _TOOL, tool, graph, recorded, out, *heads, "--", *around],
            capture_output=True,
            text=True,
            check=False,
        )
        last = ([line for line in told.stderr.splitlines() if line.strip()] or ["it says nothing"])[-1]
        made[name] = out.read_bytes() if told.returncode == 0 and out.exists() else last
    return made


def measured(bundle: Bundle, graphs: dict[str, bytes | str], frames: Image, test: Stills) -> Iterator[Row]:
    engines, faults = {}, {}
    for name, graph in graphs.items():
        try:
            if isinstance(graph, str):
                raise CatseyeError(graph)
            precision = "int8" if name == OURS else "fp32"  # as peers' graphs run without us
            engines[name] = OnnxRuntimeEngine(graph, precision=precision, threads=1)
        except CatseyeError as error:
            faults[name] = str(error)
    times = latencies(engines, {INPUT_NAME: frames[:1]})
    for name, graph in graphs.items():
        if name in faults:
            yield Row(name, fault=faults[name])
            continue
        with progress_bars() as progress:
            figures = test.figures(BundleModel(engines[name], bundle.manifest), name=name, progress=progress)
        assert isinstance(graph, bytes)
        yield Row(name, figures, times[name] / times["fp32"], compiled(graph))


def compiled(graph: bytes) -> str:
    try:
        build_plan(graph, backend="tensorrt-rtx", compute_capabilities=["SM86"])
    except CatseyeError as error:
        return str(error)
    return "compiles"


def show(rows: list[Row]) -> None:
    header = ("int8 by", "AP50 all / >= 10 px / >= 20 px", "AP", "CPU time", "TensorRT for RTX")
    cells = [
        (
            row.name,
            " / ".join(f"{value:.3f}" for value in row.figures[:3]) or "none",
            f"{row.figures[FIGURES.index('ap')]:.3f}" if row.figures else "",
            f"{row.ratio:.2f}",
            (row.plan or row.fault)[:100],
        )
        for row in rows
    ]
    print_table(f"bound: ours at most {BOUND} below the best that TensorRT compiles", header, cells)


if __name__ == "__main__":
    sys.exit(main())
