#!/usr/bin/env python3
"""What is int8 worth on a processor?

    python scripts/bench/processor_precisions.py --data DIR [--yolo FILE] [--bundle FILE …] [--json]

DIR holds ``detectors/{yolox_nano_416,FastestDet}.onnx`` with ``coco.names``, ``video/*.mp4`` and
``detection/tusimple_supp_640x360``; FILE of ``--yolo`` is what ``yolo_stand_in.py`` writes, whose weights are
untaught, so that only time is told. Detectors are wrapped with car, bus and truck as one class, vehicle, and
all their layers are int8 that can be, calibrated on 32 frames of the videos, with no gate to move any back.
A bundle's int8 is measured as its gate has left it.

Time is one thread's work for one frame on ONNX Runtime as a ratio to that of float32, medians of calls in
turns; *fused* is that of the same int8 graph where ONNX Runtime is left to look for integer kernels. AP50 is
that on all of ``test.txt``, at no threshold.

Bound: int8 takes at most 0.9 times what it takes fused. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from precisions import Stills, latencies
from wrapped import CASES, VEHICLES

from catseye.console import print_table, progress_bars
from catseye.export import wrap
from catseye.export.calibration_frames import calibration_frames
from catseye.export.precisions import Ranges, convert
from catseye.model import BundleModel
from catseye.progress import Progress
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.network_input import pictures_input
from catseye.runtime.verification import golden_batch

BOUND = 0.9
FRAMES = 32
FUSED = "fused"


@dataclass(frozen=True)
class Row:
    """A model in one precision.

    Args:
        ratio: its processor time by that of float32; ``fused`` likewise, where ONNX Runtime looks for integer
            kernels.
        figures: AP50 by height; empty where nobody has taught the weights.
    """

    model: str
    precision: str
    ratio: float
    fused: float | None
    figures: tuple[float, ...]

    def __bool__(self) -> bool:
        return self.fused is None or self.ratio <= BOUND * self.fused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yolo", type=Path)
    parser.add_argument("--bundle", type=Path, action="append", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    videos, test = sorted((options.data / "video").glob("*.mp4")), Stills.of(options.data, "test")
    rows = []
    with TemporaryDirectory() as folder, progress_bars() as progress:
        models = wrapped(
            options.data / "detectors", options.yolo, options.bundle, videos, folder=Path(folder)
        )
        for name, bundle, taught in models:
            rows += measured(name, bundle, videos, test if taught else None, progress=progress)
    if options.json:
        print(json.dumps([asdict(row) | {"passed": bool(row)} for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(rows) else 1


def wrapped(
    detectors: Path, yolo: Path | None, bundles: list[Path], videos: list[Path], *, folder: Path
) -> Iterator[tuple[str, Bundle, bool]]:
    """Each model's name, its bundle, and whether its weights are taught."""
    out = folder / "measured.catseye"
    names: dict[str, Any] = {"classes": detectors / "coco.names", "keep": VEHICLES}
    names["rename"] = dict.fromkeys(VEHICLES, "vehicle")
    for case in CASES:
        file = detectors / case.file
        yield case.name, wrap(file, out, decoder=case.decoder, height=case.height, **names), True
    for height in (None, 384) if yolo is not None else ():
        given: dict[str, Any] = {"score_threshold": 0.25, "videos": videos[:1], "height": height}
        yield f"yolo11, {height or 640} high", wrap(yolo, out, decoder="yolo11", **given), False
    for path in bundles:
        yield path.stem, open_bundle(path), True


def measured(
    name: str, bundle: Bundle, videos: list[Path], test: Stills | None, *, progress: Progress
) -> Iterator[Row]:
    int8 = bundle.graph("int8") if "int8" in bundle.manifest.precisions else ungated(bundle, videos)
    engines = {
        "fp32": OnnxRuntimeEngine(bundle.graph("fp32"), threads=1),
        "int8": OnnxRuntimeEngine(int8, precision="int8", threads=1),
        FUSED: OnnxRuntimeEngine(int8, threads=1),
    }
    times = latencies(engines, golden_batch(bundle))
    for precision in ("fp32", "int8"):
        model = BundleModel(engines[precision], bundle.manifest)
        label = f"{name}, {precision}"
        figures = () if test is None else test.figures(model, name=label, progress=progress)[:3]
        fused = times[FUSED] / times["fp32"] if precision == "int8" else None
        yield Row(name, precision, times[precision] / times["fp32"], fused, figures)


def ungated(bundle: Bundle, videos: list[Path]) -> bytes:
    network, graph = bundle.manifest.network, bundle.graph("fp32")
    place: dict[str, Any] = {"width": network.width, "height": network.height, "fit": network.fit}
    seen = pictures_input(calibration_frames(videos, count=FRAMES, **place), network)
    return convert(graph, "int8", Ranges(graph, seen, batch=network.batch, threads=1))


def show(rows: list[Row]) -> None:
    cells = [
        (
            row.model,
            row.precision,
            f"{row.ratio:.2f}",
            "" if row.fused is None else f"{row.fused:.2f}",
            " / ".join(f"{value:.3f}" for value in row.figures) or "untaught",
            "ok" if row else "MISSED",
        )
        for row in rows
    ]
    header = ("model", "precision", "time", FUSED, "AP50 all / >= 10 px / >= 20 px", "")
    print_table(f"bound: int8 at most {BOUND} of fused", header, cells)


if __name__ == "__main__":
    sys.exit(main())
