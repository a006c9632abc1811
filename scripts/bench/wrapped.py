#!/usr/bin/env python3
"""Do detectors of others, wrapped, find what they find by themselves, and what does wrapping cost?

    python scripts/bench/wrapped.py --data DIR [--json]

DIR holds ``detectors/{yolox_nano_416,FastestDet}.onnx`` with ``coco.names``, and
``detection/tusimple_supp_640x360``. Both are wrapped with car, bus and truck as one class, vehicle, and
measured by ``catseye.load(bundle).predict`` on all of ``test.txt``, at no threshold: AP50 of all objects, of
those at least 10 pixels tall, and of those at least 20. The figures beside are what was measured with each
detector's own code. Latency is that of one thread's work for one frame, wrapped and bare in turns: the bare
model gets ready float tensors, the wrapped one bytes, which it has to cast and arrange, and it decodes.

YOLOX-Nano is also wrapped at 416x256, for pictures of 16:9 without the border that a square needs. Figures
beside are then its own at 416x416, and the bare model is the square one.

Bounds: each AP50 within 0.01 of the figure beside it, and the wrapped graph at most 1.15 times the work of
the bare model. Re-shaped, each AP50 at most 0.01 below, at 0.75 times the work. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time

import numpy as np
import onnxruntime

import catseye
from catseye.console import print_table, progress_bars
from catseye.export import wrap
from catseye.model import Model
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.labels import Labels, read_image_list
from catseye.pretrain.prediction import measure
from catseye.pretrain.stills import read_picture
from catseye.progress import Progress
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.verification import golden_inputs

FIGURES = ("ap50", "ap50_h10", "ap50_h20")
BOUND_DIFFERENCE, BOUND_RATIO, BOUND_RESHAPED = 0.01, 1.15, 0.75
CALLS, WARM_UP = 150, 10
VEHICLES = ("car", "bus", "truck")


@dataclass(frozen=True)
class Case:
    """A detector's file, its decoder, AP50 by its own code in the order of ``FIGURES``, and the height it
    is re-shaped to."""

    file: str
    decoder: str
    expected: tuple[float, float, float]
    height: int | None = None

    @property
    def name(self) -> str:
        return self.decoder if self.height is None else f"{self.decoder}, {self.height} high"

    @property
    def most_work(self) -> float:
        return BOUND_RATIO if self.height is None else BOUND_RESHAPED


CASES = (
    Case("yolox_nano_416.onnx", "yolox", (0.302, 0.527, 0.791)),
    Case("yolox_nano_416.onnx", "yolox", (0.302, 0.527, 0.791), height=256),
    Case("FastestDet.onnx", "fastestdet", (0.190, 0.339, 0.672)),
)


@dataclass(frozen=True)
class Row:
    """What was measured of a case; times in milliseconds of one thread's work a frame."""

    case: Case
    found: tuple[float, ...]
    bare_ms: float
    wrapped_ms: float

    @property
    def ratio(self) -> float:
        return self.wrapped_ms / self.bare_ms

    def __bool__(self) -> bool:
        pairs = zip(self.found, self.case.expected, strict=True)
        more = [found - expected for found, expected in pairs]
        near = min(more) >= -BOUND_DIFFERENCE and (max(more) <= BOUND_DIFFERENCE or bool(self.case.height))
        return near and self.ratio <= self.case.most_work

    def to_json(self) -> dict[str, object]:
        return {
            "detector": self.case.name,
            "figures": dict(zip(FIGURES, self.found, strict=True)),
            "expected": dict(zip(FIGURES, self.case.expected, strict=True)),
            "bare_ms": self.bare_ms,
            "wrapped_ms": self.wrapped_ms,
            "ratio": self.ratio,
            "passed": bool(self),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stills = options.data / "detection" / "tusimple_supp_640x360"
    test = stills / "test.txt"
    labels = read_labels(stills / "instances_coco.json").only(read_image_list(test), source=test)
    with TemporaryDirectory() as folder, progress_bars() as progress:
        rows = [
            measure_case(
                case,
                options.data / "detectors",
                labels,
                stills / "images",
                out=Path(folder) / f"{case.decoder}{case.height or ''}.catseye",
                progress=progress,
            )
            for case in CASES
        ]
    if options.json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(rows) else 1


def measure_case(
    case: Case, detectors: Path, labels: Labels, images: Path, *, out: Path, progress: Progress
) -> Row:
    bundle = wrap(
        detectors / case.file,
        out,
        decoder=case.decoder,
        classes=detectors / "coco.names",
        keep=VEHICLES,
        rename=dict.fromkeys(VEHICLES, "vehicle"),
        height=case.height,
    )
    figures = measure(detect(catseye.load(out), labels, images, name=case.name, progress=progress), labels)
    bare, wrapped = latencies(detectors / case.file, bundle)
    return Row(case, tuple(figures[name] for name in FIGURES), bare, wrapped)


def detect(model: Model, labels: Labels, images: Path, *, name: str, progress: Progress) -> list[Detections]:
    """What a model finds on labelled pictures, of any score."""
    found = []
    for label, path in zip(labels.images, labels.pictures(images), strict=True):
        seen = model.predict(read_picture(path, label), threshold=0.0)
        found.append(Detections(seen.boxes_xyxy, seen.scores, seen.classes))
        progress(name, len(found), len(labels.images))
    return found


def latencies(model: Path, bundle: Bundle) -> tuple[float, float]:
    """Milliseconds of work a frame, bare and wrapped: medians of ``CALLS`` turns on one thread."""
    frame = golden_inputs(bundle)[INPUT_NAME][:1]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    bare = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (given,) = bare.get_inputs()
    ready = np.zeros(given.shape, dtype=np.float32)
    ready[:, :, : frame.shape[1], : frame.shape[2]] = frame.transpose(0, 3, 1, 2) / 255
    feeds = {given.name: ready}
    engine = OnnxRuntimeEngine(bundle.graph(), threads=1)
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(-WARM_UP, CALLS):
        began = thread_time()
        bare.run(None, feeds)
        between = thread_time()
        engine.infer({INPUT_NAME: frame})
        ended = thread_time()
        if turn >= 0:
            spent[0].append(between - began)
            spent[1].append(ended - between)
    return 1e3 * median(spent[0]), 1e3 * median(spent[1])


def show(rows: list[Row]) -> None:
    header = ("detector", "AP50 all / >= 10 px / >= 20 px", "by its own code", "bare", "wrapped", "ratio", "")
    cells = [
        (
            row.case.name,
            " / ".join(f"{value:.3f}" for value in row.found),
            " / ".join(f"{value:.3f}" for value in row.case.expected),
            f"{row.bare_ms:.2f} ms",
            f"{row.wrapped_ms:.2f} ms",
            f"{row.ratio:.3f}",
            "ok" if row else "MISSED",
        )
        for row in rows
    ]
    print_table(
        f"bounds: AP50 within {BOUND_DIFFERENCE}, ratio {BOUND_RATIO}; re-shaped {BOUND_RESHAPED}",
        header,
        cells,
    )


if __name__ == "__main__":
    sys.exit(main())
