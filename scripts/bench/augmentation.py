#!/usr/bin/env python3
"""Our variation of labelled stills beside torchvision's transforms v2, on stills made here.

    python scripts/bench/augmentation.py [--stills N] [--json]

Both scale a still of 672×378 by up to 1.3 either way, shift it within 448×256, mirror and recolour it, and
take the boxes along. Vehicles are rectangles a few pixels to a few dozen large, white on grey, so that where
a box should be can be read off the picture.

- CPU time a still in ms, on one thread, the median of rounds. Bound: ours takes no longer.
- box error: the largest distance in pixels of a box's side from that of what it outlines, the 95th percentile
  over vehicles that are whole in the frame. Bound: ours is no larger by more than a tenth.
- lost: vehicles of which something is in the frame but no box is left, neither as object nor as ignored: the
  detector would be taught that they are background. Bound: ours loses none.

Prints a table and exits with 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from catseye.capture.geometry import PAD_VALUE
from catseye.console import print_table
from catseye.pretrain.augment import Still, vary

WIDTH, HEIGHT, ZOOM = 448, 256, 1.3
ROUNDS = 5
WHITE = 200

Varied = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Picture (H, W, 3) uint8, boxes to be found (N, 4), boxes that are ignored (M, 4)."""


@dataclass(frozen=True)
class Figures:
    ms: float
    box_error: float
    lost: int


def made_still(seed: int) -> Still:
    """One vehicle, so that all that is white is its."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(60, 110, (378, 672, 3), dtype=np.uint8)
    width = float(rng.choice([5, 8, 13, 20, 40, 80]))
    height = round(0.8 * width)
    x, y = (int(rng.integers(0, room)) for room in (672 - width, 378 - height))
    rgb[y : y + height, x : x + int(width)] = 255
    boxes = np.array([[x, y, x + int(width), y + height]], dtype=np.float32)
    return Still(rgb, boxes, np.zeros(1, np.int32), np.zeros(1, np.bool_))


def ours(still: Still, seed: int) -> Varied:
    varied = vary(still, np.random.default_rng(seed), width=WIDTH, height=HEIGHT, zoom=ZOOM)
    return varied.rgb, varied.boxes[~varied.ignored], varied.boxes[varied.ignored]


def torchvision_pipeline() -> Callable[[Still, int], Varied]:
    transform = v2.Compose(
        [
            v2.ScaleJitter(target_size=(HEIGHT, WIDTH), scale_range=(1 / ZOOM, ZOOM), antialias=True),
            v2.RandomCrop((HEIGHT, WIDTH), pad_if_needed=True, fill=PAD_VALUE),
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(brightness=0.3, contrast=0.2, saturation=0.4),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(min_size=3),
        ]
    )

    def varied(still: Still, seed: int) -> Varied:
        torch.manual_seed(seed)
        target = {
            "boxes": tv_tensors.BoundingBoxes(
                torch.from_numpy(still.boxes), format="XYXY", canvas_size=still.rgb.shape[:2]
            ),
            "labels": torch.from_numpy(still.classes).long(),
        }
        picture, target = transform(torch.from_numpy(still.rgb).permute(2, 0, 1), target)
        boxes = target["boxes"].numpy().reshape(-1, 4)
        return picture.permute(1, 2, 0).contiguous().numpy(), boxes, boxes[:0]

    return varied


def measure(pipeline: Callable[[Still, int], Varied], stills: list[Still]) -> Figures:
    times, errors, lost = [], [], 0
    for number in range(ROUNDS):
        started = time.process_time()
        for seed, still in enumerate(stills):
            pipeline(still, seed + number * len(stills))
        times.append((time.process_time() - started) / len(stills))
    for seed, still in enumerate(stills):
        rgb, boxes, ignored = pipeline(still, seed)
        rows, columns = np.nonzero(rgb.min(axis=2) > WHITE)
        if not len(rows):
            continue
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        lost += not len(boxes) and not len(ignored)
        inside = seen[0] > 2 and seen[1] > 2 and seen[2] < WIDTH - 2 and seen[3] < HEIGHT - 2
        if len(boxes) and inside:
            errors.append(float(np.abs(boxes[0] - seen).max()))
    return Figures(1e3 * float(np.median(times)), float(np.percentile(errors, 95)), lost)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stills", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    stills = [made_still(seed) for seed in range(arguments.stills)]
    own, theirs = measure(ours, stills), measure(torchvision_pipeline(), stills)
    held = own.ms <= theirs.ms and own.box_error <= theirs.box_error + 0.1 and own.lost == 0
    if arguments.json:
        print(json.dumps({"ours": vars(own), "torchvision": vars(theirs), "passed": held}, indent=2))
    else:
        lines = [
            (name, f"{figures.ms:.2f}", f"{figures.box_error:.2f}", str(figures.lost))
            for name, figures in (("ours", own), ("torchvision v2", theirs))
        ]
        head = ("", "CPU ms a still", "box error, px, 95 %", f"lost, of {len(stills)}")
        print_table(f"Bounds {'kept' if held else 'MISSED'}", head, lines)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
