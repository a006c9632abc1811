#!/usr/bin/env python3
"""What --tiny-px is worth where vehicles are a few pixels large, on pictures made here.

    python scripts/bench/tiny_boxes.py [--seeds N] [--steps N] [--json]

A small detector from scratch learns from pictures of 192×128 with six rectangles each, 4 to 12 pixels wide,
in any colour on a background of blotches, and is measured on others: AP50, and AP over IoU 0.50 to 0.95,
which asks for exact outlines. Rows: without, and with normalised Wasserstein distance for boxes below 8 and
16 pixels. There is no bound: it says whether the option should be tried, not that it should be the default.
About a minute of one core a row and seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from catseye.console import print_table
from catseye.pretrain.finetuning import FinetuneConfig, finetune

WIDTH, HEIGHT, COUNT = 192, 128, 6
TRAIN, TEST = 60, 60
SIZES = (0.0, 8.0, 16.0)


def write_pictures(folder: Path) -> None:
    """Pictures, their labels, and which of them are to be measured on."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(TRAIN + TEST):
        blotches = rng.integers(40, 200, (HEIGHT // 16, WIDTH // 16, 3)).astype(np.uint8)
        picture = cv2.resize(blotches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
        for _ in range(COUNT):
            w = int(rng.integers(4, 13))
            h = max(3, round(0.8 * w))
            x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
            picture[y : y + h, x : x + w] = rng.integers(0, 255, 3)
            picture[y + h - max(1, h // 4) : y + h, x : x + w] = 10  # the shadow below a vehicle
            box = {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": [x, y, w, h]}
            annotations.append(box)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "vehicle"}]}
    (folder / "labels.json").write_text(json.dumps(document))
    names = [f"{number}.png\n" for number in range(TRAIN, TRAIN + TEST)]
    (folder / "test.txt").write_text("".join(names))


def measure(folder: Path, *, tiny_px: float, seed: int, steps: int) -> dict[str, float]:
    config = FinetuneConfig(
        encoder="test_byobnet",
        neck_channels=32,
        width=WIDTH,
        height=HEIGHT,
        steps=steps,
        batch=8,
        lr=3e-3,
        ema=0.98,
        precision="32-true",
        tiny_px=tiny_px,
        seed=seed,
    )
    run = folder / f"run-{tiny_px:g}-{seed}"
    info = finetune(None, run, labels=folder / "labels.json", test_list=folder / "test.txt", config=config)
    return {name: value for name, value in info.metrics.items() if name in ("ap", "ap50")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[float, list[dict[str, float]]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder)
        for seed in range(arguments.seeds):
            for size in SIZES:
                rows[size].append(measure(folder, tiny_px=size, seed=seed, steps=arguments.steps))
                print(f"seed {seed}, tiny_px {size:g}: {rows[size][-1]}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({f"{size:g}": found for size, found in rows.items()}, indent=2))
        return 0
    lines = []
    for size, found in rows.items():
        shown = []
        for figure in ("ap50", "ap"):
            values = np.array([each[figure] for each in found])
            shown.append(f"{values.mean():.3f} ± {values.std():.3f}")
        lines.append((f"{size:g}", *shown, " ".join(f"{each['ap50']:.3f}" for each in found)))
    print_table(
        f"{arguments.seeds} seeds, {arguments.steps} steps", ("tiny_px", "AP50", "AP", "AP50 by seed"), lines
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
