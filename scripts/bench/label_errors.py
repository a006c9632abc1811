"""Errors planted in real labels: how many `catseye labels check` finds, and how much else it lists.

    python scripts/bench/label_errors.py [--data FOLDER] [--run RUN] [--share 0.03] [--seeds 3] [--json]

FOLDER holds ``detection/tusimple_supp_640x360`` (COCO JSON, ``images/``, ``test.txt``) and
``detectors/yolox_nano_416.onnx``, which gives the second opinion; --run gives one of our fine-tuning runs
instead. Of each kind of error that share of all boxes gets one, at most one a box, drawn by the seed; other
suspicions are counted as wrong, though some will be errors that the labels had.

The list is read from its top, as far as there are planted errors: by chance the share of those among all
boxes would be right. Bound: for objects 20 px and taller, at least half of that part of the list is right.
Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from yolox import Yolox

from catseye.capture.geometry import Image
from catseye.pretrain.boxes import overlaps
from catseye.pretrain.label_errors import Found, Kind, Suspicion, suspicions
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.labels import LabelledImage, read_image_list
from catseye.pretrain.stills import read_picture

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("vehicle", "person")
PLANTED: tuple[Kind, ...] = ("missing", "spurious", "shifted", "class", "doubled", "outside", "improbable")
OF_COCO = {0: 1, 2: 0, 5: 0, 7: 0}
HEIGHTS = (0, 10, 20)
BOUND = 0.5


def yolox(path: Path) -> Callable[[Image], Found]:
    network = Yolox(path)

    def detect(rgb: Image) -> Found:
        boxes, scores = network.candidates(rgb)
        classes = np.array([OF_COCO.get(int(best), -1) for best in scores.argmax(axis=1)])
        return best_of_each_place(boxes, scores.max(axis=1), classes)

    return detect


def best_of_each_place(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], least: float = 0.03
) -> Found:
    """Non-maximum suppression over all classes that are asked for."""
    order = [k for k in np.argsort(-scores) if scores[k] >= least and classes[k] >= 0]
    kept: list[int] = []
    for k in order:
        if not (overlaps(boxes[[k]], boxes[kept]) > 0.5).any():
            kept.append(int(k))
    return Found(boxes[kept], scores[kept].astype(np.float32), classes[kept].astype(np.int32))


def of_run(run: Path) -> Callable[[Image], Found]:
    from catseye.model import load

    model = load(run)

    def detect(rgb: Image) -> Found:
        found = model.predict(rgb, threshold=0.0)
        return Found(found.boxes_xyxy, found.scores, found.classes)

    return detect


@dataclass(frozen=True, eq=False)
class Planted:
    """An error: ``row`` in the changed labels, or where something is missing, its ``box``."""

    kind: Kind
    image: int
    row: int | None
    box: NDArray[np.float32]

    @property
    def height(self) -> float:
        return float(self.box[3] - self.box[1])


def plant(
    images: list[LabelledImage], share: float, rng: np.random.Generator
) -> tuple[list[LabelledImage], list[Planted]]:
    """The labels with errors in them, and those."""
    places = [(i, row) for i, image in enumerate(images) for row in range(len(image.boxes))]
    count = round(share * len(places))
    drawn = rng.permutation(len(places))[: count * len(PLANTED)]
    boxes = [image.boxes.copy() for image in images]
    classes = [image.classes.copy() for image in images]
    errors, lost = [], []
    for number, place in enumerate(drawn):
        kind, (i, row) = PLANTED[number % len(PLANTED)], places[place]
        box, side = boxes[i][row].copy(), boxes[i][row, 2:] - boxes[i][row, :2]
        size = np.array([images[i].width, images[i].height])
        if kind == "missing":
            lost.append((i, row))
            continue
        if kind == "class":
            classes[i][row] = 1
        elif kind == "shifted":
            boxes[i][row] += np.tile(rng.choice([-1, 1], 2) * rng.uniform(0.2, 0.35, 2) * side, 2)
        elif kind == "outside":
            move = size[0] - box[0] - side[0] * rng.uniform(0.1, 0.4)
            boxes[i][row] += np.array([move, 0, move, 0], dtype=np.float32)
        elif kind == "improbable":
            boxes[i][row, 2] = box[0] + side[0] * 5
        else:
            new = box + rng.normal(0, 0.03, 4) * np.tile(side, 2)
            while kind == "spurious" and overlaps(new[None].astype(np.float32), boxes[i]).max() > 0.1:
                corner = rng.uniform(0, size - side)
                new = np.concatenate([corner, corner + side])
            row = len(boxes[i])
            boxes[i] = np.concatenate([boxes[i], new[None].astype(np.float32)])
            classes[i] = np.append(classes[i], 0).astype(np.int32)
        errors.append(Planted(kind, i, row, boxes[i][row]))
    for i, row in sorted(lost, reverse=True):
        errors.append(Planted("missing", i, None, boxes[i][row]))
        boxes[i], classes[i] = np.delete(boxes[i], row, axis=0), np.delete(classes[i], row)
        errors = [
            replace(e, row=e.row - 1) if e.image == i and e.row is not None and e.row > row else e
            for e in errors
        ]
    changed = [
        replace(image, boxes=b, classes=c, crowd=np.zeros(len(b), dtype=np.bool_))
        for image, b, c in zip(images, boxes, classes, strict=True)
    ]
    return changed, errors


def _after_deleting(error: Planted, image: int, row: int) -> Planted:
    later = error.image == image and error.row is not None and error.row > row
    return replace(error, row=error.row - 1) if later and error.row is not None else error


def hits(suspects: list[Suspicion], errors: list[Planted]) -> list[Planted | None]:
    """Which planted error each suspicion points at, each but once."""
    free = list(errors)
    found: list[Planted | None] = []
    for suspect in suspects:
        hit = next((e for e in free if points_at(suspect, e)), None)
        if hit is not None:
            free.remove(hit)
        found.append(hit)
    return found


def points_at(suspect: Suspicion, error: Planted) -> bool:
    if suspect.image != error.image:
        return False
    if error.row is None or suspect.row is None:
        near = float(overlaps(suspect.box[None], error.box[None])[0, 0])
        return suspect.row is None and error.row is None and near >= 0.5
    return suspect.row == error.row


def figures_of(suspects: list[Suspicion], errors: list[Planted], boxes: int, least: float) -> dict[str, Any]:
    """What is found of errors at least so many pixels tall."""
    asked = [e for e in errors if e.height >= least]
    listed = [s for s in suspects if s.box[3] - s.box[1] >= least]
    found = hits(listed, asked)
    head = found[: len(asked)]
    right = [e for e in found if e is not None]
    kinds = {kind: [e for e in asked if e.kind == kind] for kind in PLANTED}
    return {
        "planted": len(asked),
        "listed": len(listed),
        "right in the head": sum(e is not None for e in head) / max(1, len(asked)),
        "by chance": len(asked) / max(1, boxes),
        "precision": len(right) / max(1, len(listed)),
        "recall": len(right) / max(1, len(asked)),
        **{kind: sum(e.kind == kind for e in right) / max(1, len(of)) for kind, of in kinds.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stills = options.data / "detection" / "tusimple_supp_640x360"
    labels = read_labels(stills / "instances_coco.json")
    labels = labels.only(read_image_list(stills / "test.txt"), source=stills / "test.txt")
    detector = options.data / "detectors" / "yolox_nano_416.onnx"
    detect = yolox(detector) if options.run is None else of_run(options.run)
    found = [detect(read_picture(stills / "images" / i.file_name, i)) for i in labels.images]
    by_height: dict[int, list[dict[str, Any]]] = {height: [] for height in HEIGHTS}
    for seed in range(options.seeds):
        changed, errors = plant(list(labels.images), options.share, np.random.default_rng(seed))
        suspects = suspicions(changed, found)
        for height in HEIGHTS:
            tall = [(i.boxes[:, 3] - i.boxes[:, 1] >= height).sum() for i in changed]
            by_height[height].append(figures_of(suspects, errors, int(sum(tall)), height))
    means = {
        height: {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        for height, rows in by_height.items()
    }
    head = means[HEIGHTS[-1]]["right in the head"]
    missed = [f"right in the head {head:.2f} is below {BOUND}"] if head < BOUND else []
    if options.json:
        print(json.dumps({"figures": means, "missed": missed}))
    else:
        print("".ljust(24), *(f">= {height} px".rjust(9) for height in HEIGHTS))
        for name in means[0]:
            print(name.ljust(24), *(f"{means[height][name]:9.3g}" for height in HEIGHTS))
        for line in missed:
            print("MISSED", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
