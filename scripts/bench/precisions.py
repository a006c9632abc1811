#!/usr/bin/env python3
"""What do fp16 and int8 cost a detector's accuracy, and what do they take on this CPU?

    python scripts/bench/precisions.py (--run RUN | --bundle BUNDLE) --data DIR [--cuts] [--json]

DIR holds ``detection/tusimple_supp_640x360``. A run is exported in all three precisions, calibrated on 128
of the stills in ``train.txt``, which are of other drives than those of ``test.txt``; a bundle is taken as it
is. Each precision is measured by ``catseye.load(bundle, precision=…).predict`` on all of ``test.txt``, at no
threshold: AP50 of all objects, of those at least 10 pixels tall, of those at least 20, and AP over IoUs of
0.5 to 0.95. Latency is one thread's work for one frame on ONNX Runtime, as a ratio to that of float32,
measured in turns. It says nothing of a board: TensorRT fuses what ONNX Runtime does not.

--cuts also measures every way to cut off ranges of activations, of which ``precisions.CUT`` was chosen.

Bounds: each AP50 of each precision at most 0.01 below float32's, and no precision left out. Exits 1 when one
is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time

from wrapped import detect

import catseye
from catseye.console import print_table, progress_bars
from catseye.export import export
from catseye.export.activation_ranges import METHODS, cut_off, largest_magnitudes, observe
from catseye.export.calibration_frames import calibration_inputs
from catseye.export.quantise import quantise, quantised_tensors
from catseye.model import BundleModel, Model
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.labels import Labels, read_image_list
from catseye.pretrain.prediction import measure
from catseye.progress import Progress
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.base import Engine, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.precision import PRECISIONS
from catseye.runtime.verification import golden_batch

FIGURES = ("ap50", "ap50_h10", "ap50_h20", "ap")
BOUND = 0.01
CALLS, WARM_UP = 40, 5


@dataclass(frozen=True)
class Stills:
    """The labelled pictures measured on."""

    labels: Labels
    images: Path

    @classmethod
    def of(cls, data: Path, split: str) -> Stills:
        folder = data / "detection" / "tusimple_supp_640x360"
        names = folder / f"{split}.txt"
        labels = read_labels(folder / "instances_coco.json").only(read_image_list(names), source=names)
        return cls(labels, folder / "images")

    def paths(self) -> list[Path]:
        return list(self.labels.pictures(self.images))

    def figures(self, model: Model, *, name: str, progress: Progress) -> tuple[float, ...]:
        """``FIGURES`` of a model's detections."""
        measured = measure(detect(model, self.labels, self.images, name=name, progress=progress), self.labels)
        return tuple(measured[figure] for figure in FIGURES)


@dataclass(frozen=True)
class Row:
    """What was measured of one graph; ``ratio`` is its latency by float32's."""

    name: str
    figures: tuple[float, ...]
    ratio: float
    megabytes: float
    apart: dict[str, float]

    def holds(self, against: Row) -> bool:
        return all(
            figure >= expected - BOUND
            for figure, expected in zip(self.figures[:3], against.figures[:3], strict=True)
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path)
    source.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cuts", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    test = Stills.of(options.data, "test")
    with TemporaryDirectory() as scratch, progress_bars() as progress, training_stills(options.data) as train:
        if options.run is not None:
            path = Path(scratch) / "measured.catseye"
            export(options.run, path, precisions=PRECISIONS, calibration=[train], progress=progress)
        bundle = open_bundle(options.bundle or path)
        engines = {
            name: OnnxRuntimeEngine(bundle.graph(name), precision=name, threads=1)
            for name in bundle.manifest.precisions
        }
        rows = measured_rows(bundle, engines, test, progress=progress)
        cuts = measured_cuts(bundle, train, test, progress=progress) if options.cuts else []
    held = {row.name: row.holds(rows[0]) for row in rows}
    missing = [name for name in PRECISIONS if name not in held]
    if options.json:
        document = [{**vars(row), "passed": held[row.name]} for row in rows]
        print(json.dumps({"precisions": document, "left_out": missing, "cuts": dict(cuts)}, indent=2))
    else:
        show(rows, held, cuts)
        for name in missing:
            print(f"{name} is not in the bundle")
    return 0 if all(held.values()) and not missing else 1


def measured_rows(
    bundle: Bundle, engines: dict[str, OnnxRuntimeEngine], test: Stills, *, progress: Progress
) -> list[Row]:
    times = latencies(engines, golden_batch(bundle))
    rows = []
    for name in engines:
        verdict = bundle.manifest.verdicts.get(name)
        rows.append(
            Row(
                name=name,
                figures=test.figures(catseye.load(bundle.path, precision=name), name=name, progress=progress),
                ratio=times[name] / times["fp32"],
                megabytes=len(bundle.graph(name)) / 1e6,
                apart={} if verdict is None else verdict.figures,
            )
        )
    return rows


def measured_cuts(
    bundle: Bundle, train: Path, test: Stills, *, progress: Progress
) -> list[tuple[str, tuple[float, ...]]]:
    """``FIGURES`` of int8 by each way to cut off ranges."""
    graph, network = bundle.graph("fp32"), bundle.manifest.network
    frames = calibration_inputs([train], network)
    largest = largest_magnitudes(graph, frames, batch=network.batch)
    seen = observe(graph, largest, quantised_tensors(graph), frames, batch=network.batch)
    rows = []
    for method in METHODS:
        ranges = {name: cut_off(magnitudes, method) for name, magnitudes in seen.items()}
        engine: Engine = OnnxRuntimeEngine(quantise(graph, ranges), precision="int8")
        model = BundleModel(engine, bundle.manifest)
        rows.append((method, test.figures(model, name=f"int8, {method}", progress=progress)))
    return rows


@contextmanager
def training_stills(data: Path) -> Iterator[Path]:
    """A folder of links to the pictures of ``train.txt`` alone."""
    with TemporaryDirectory() as folder:
        for path in Stills.of(data, "train").paths():
            (Path(folder) / path.name).symlink_to(path.resolve())
        yield Path(folder)


def latencies(engines: dict[str, OnnxRuntimeEngine], inputs: Inputs) -> dict[str, float]:
    """Seconds of work a call: medians of ``CALLS`` turns."""
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(-WARM_UP, CALLS):
        for name, engine in engines.items():
            began = thread_time()
            engine.infer(inputs)
            if turn >= 0:
                spent[name].append(thread_time() - began)
    return {name: median(times) for name, times in spent.items()}


def show(rows: list[Row], held: dict[str, bool], cuts: list[tuple[str, tuple[float, ...]]]) -> None:
    header = ("precision", "AP50 all / >= 10 px / >= 20 px", "AP", "CPU time", "graph", "apart", "")
    cells = [
        (
            row.name,
            " / ".join(f"{value:.3f}" for value in row.figures[:3]),
            f"{row.figures[3]:.3f}",
            f"{row.ratio:.2f}",
            f"{row.megabytes:.2f} MB",
            ", ".join(f"{name} {value:.4f}" for name, value in row.apart.items()),
            "ok" if held[row.name] else "MISSED",
        )
        for row in rows
    ]
    print_table(f"bound: AP50 at most {BOUND} below fp32", header, cells)
    if cuts:
        ranges = [
            (name, " / ".join(f"{value:.3f}" for value in figures[:3]), f"{figures[3]:.3f}")
            for name, figures in cuts
        ]
        print_table("int8 by how ranges are cut off", header[:3], ranges)


if __name__ == "__main__":
    sys.exit(main())
