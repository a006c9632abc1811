#!/usr/bin/env python3
"""What a frame's way to network input costs beside OpenCV's own filters, which differ between machines.

    python scripts/bench/geometry.py [--width 448] [--height 256] [--json]

Whole frames of noise, planes to RGB, by ``geometry.planes_to_network`` and by the same steps with OpenCV's
INTER_AREA and INTER_LINEAR, in turns on one thread. Bound: at no size more than 1.1 times the processor time.
Exits 1 when that is missed. With it the share of levels that differ, and the most.
"""

from __future__ import annotations

import argparse
import json
import sys
from statistics import median
from time import process_time

import cv2
import numpy as np

from catseye.capture.geometry import Image, Letterbox, Planes, letterbox, pad_to_network, planes_to_network
from catseye.capture.geometry import rgb_from_yuv as matrix_of
from catseye.console import print_table

SIZES = ((640, 360), (854, 480), (960, 540), (1280, 720), (1920, 1080))
BOUND = 1.1
TURNS, CALLS = 15, 10


def by_opencv(planes: Planes, box: Letterbox) -> Image:
    size = (box.scaled_width, box.scaled_height)
    half = (size[0] // 2, size[1] // 2)
    y = shrunk(planes.y, size)
    u, v = (
        cv2.resize(shrunk(plane, half), size, interpolation=cv2.INTER_LINEAR)
        for plane in (planes.u, planes.v)
    )
    rgb = cv2.transform(cv2.merge((y, u, v)), matrix_of(planes.matrix, full_range=planes.full_range))
    return pad_to_network(np.asarray(rgb, dtype=np.uint8), box)


def shrunk(plane: Image, size: tuple[int, int]) -> Image:
    """By INTER_AREA, halved first as ``resampling.resize_plane`` does."""
    while plane.shape[1] >= 4 * size[0] and plane.shape[0] >= 4 * size[1]:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    rows = []
    for width, height in SIZES:
        whole = cv2.GaussianBlur(rng.integers(0, 256, (height, width), dtype=np.uint8), (5, 5), 0)
        chroma = np.ascontiguousarray(whole[::2, ::2])
        planes = Planes(np.asarray(whole, dtype=np.uint8), chroma, chroma)
        box = letterbox(width, height, options.width, options.height)
        apart = np.abs(planes_to_network(planes, box).astype(int) - by_opencv(planes, box))
        spent: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(TURNS):
            for ours in (True, False):
                way = planes_to_network if ours else by_opencv
                began = process_time()
                for _ in range(CALLS):
                    way(planes, box)
                spent[ours].append((process_time() - began) / CALLS)
        ratio = median(spent[True]) / median(spent[False])
        rows.append((f"{width}x{height}", ratio, float((apart > 0).mean()), int(apart.max())))
    if options.json:
        names = ("size", "ratio", "levels_that_differ", "most")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    else:
        cells = [
            (size, f"{ratio:.2f}", f"{share:.3f}", str(most), "ok" if ratio <= BOUND else "MISSED")
            for size, ratio, share, most in rows
        ]
        header = ("frame", "times OpenCV's time", "levels that differ", "most", "")
        print_table(f"to {options.width}x{options.height}; bound: {BOUND}", header, cells)
    return 0 if all(ratio <= BOUND for _, ratio, _, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
