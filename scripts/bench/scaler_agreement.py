"""Does a network see the same in frames that GStreamer has scaled as in those of our own area filter?

    python scripts/bench/scaler_agreement.py BUNDLE VIDEO… [--frames 100] [--methods bilinear2,…] [--json]

The same frames of each video go both ways to the bundle's input size: decoded by PyAV and resized by area,
plane by plane, as training does it; and decoded and scaled by GStreamer's software elements, by each method
of ``videoscale``. For each: mean and 99th percentile of the difference in levels, of luma and of chroma; of
the detections above the bundle's threshold that either way gives, how many the other gives too, with an IoU
of 0.5 and half the threshold at least; the mean IoU of those, and the difference of their scores.
``rounding`` is what changes when each level is off by one at random: no scaler can be asked for more.

Bound: of detections, the method in use (the first) loses at most 2 % more than rounding does. Exits 1 when
it is missed.
A Jetson's scaler has not been measured: there, ``--hardware jetson`` does so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Planes, resize_planes
from catseye.capture.sources import VideoFile
from catseye.runtime.association import iou
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.load import load_engine
from catseye.runtime.manifest import Network
from catseye.runtime.network_input import network_input, stacked
from catseye.runtime.sources.gstreamer_connection import Connection
from catseye.runtime.sources.gstreamer_description import Hardware, describe
from catseye.runtime.sources.gstreamer_picture import planes_of

METHODS = ("hermite", "lanczos", "catrom", "bilinear2", "bilinear", "nearest-neighbour")
IN_USE = "method=hermite"
MOST_LOST = 0.02
WEAK = 0.5
EVERY = 5
PATIENCE_S = 60.0

Detections = tuple[NDArray[np.float32], NDArray[np.float32]]


def by_area(video: Path, network: Network) -> Iterator[Planes]:
    with VideoFile(video) as file:
        for frame in file.frames():
            yield resize_planes(frame.planes, network.letterbox(frame.planes.width, frame.planes.height))


def by_gstreamer(video: Path, network: Network, hardware: Hardware, method: str) -> Iterator[Planes]:
    description = describe(str(video), hardware=hardware).replace(IN_USE, f"method={method}")
    connection = Connection(str(video), description, live=False, fit=network.letterbox)
    try:
        while (arrived := connection.take(PATIENCE_S)) is not None:
            yield planes_of(arrived.sample, arrived.picture)
    finally:
        connection.close()


def off_by_one(frames: Iterator[Planes]) -> Iterator[Planes]:
    draw = np.random.default_rng(0)

    def shaken(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.clip(plane.astype(np.int16) + draw.integers(-1, 2, plane.shape), 0, 255).astype(np.uint8)

    for planes in frames:
        y, u, v = map(shaken, (planes.y, planes.u, planes.v))
        yield Planes(y=y, u=u, v=v, matrix=planes.matrix, full_range=planes.full_range)


class Detector:
    def __init__(self, bundle: Path) -> None:
        opened = open_bundle(bundle)
        self.manifest = opened.manifest
        self._engine = load_engine(opened, engine="onnxruntime", threads=1)

    def __call__(self, planes: Planes) -> Detections:
        """Boxes and scores of all from ``WEAK`` times the threshold on."""
        output = self._engine.infer(stacked([network_input(planes, self.manifest.network)]))
        sure = output.scores[0] >= WEAK * self.manifest.score_threshold
        return output.boxes[0][sure].copy(), output.scores[0][sure].copy()


def compare(
    frames: Iterator[Planes], wanted: list[tuple[Planes, Detections]], detect: Detector
) -> dict[str, Any]:
    """Frames in the order of ``wanted``, every fifth of which is compared."""
    differences: dict[str, list[NDArray[Any]]] = {"luma": [], "chroma": []}
    ious: list[float] = []
    scores: list[float] = []
    detections = partners = 0
    threshold = detect.manifest.score_threshold
    began_s, spent_s = process_time(), 0.0
    for place, planes in enumerate(islice(frames, EVERY * (len(wanted) - 1) + 1)):
        if place % EVERY:
            continue
        spent_s += process_time() - began_s
        reference, (boxes, wanted_scores) = wanted[place // EVERY]
        differences["luma"].append(np.abs(planes.y.astype(np.int16) - reference.y))
        for ours, theirs in ((planes.u, reference.u), (planes.v, reference.v)):
            differences["chroma"].append(np.abs(ours.astype(np.int16) - theirs))
        found, found_scores = detect(planes)
        matched = pairs(boxes, found)
        for a, b, iou_of_both in matched:
            both = wanted_scores[a], found_scores[b]
            sure = sum(score >= threshold for score in both)
            partners += sure
            if sure:
                ious.append(iou_of_both)
                scores.append(abs(float(both[0] - both[1])))
        detections += sum(int((each >= threshold).sum()) for each in (wanted_scores, found_scores))
        began_s = process_time()
    figures: dict[str, Any] = {}
    for plane, found_levels in differences.items():
        levels = np.concatenate([level.ravel() for level in found_levels])
        figures[f"{plane}_mean"] = round(float(levels.mean()), 3)
        figures[f"{plane}_p99"] = round(float(np.percentile(levels, 99)), 1)
    return {
        **figures,
        "detections": detections,
        "matched": round(partners / detections, 4) if detections else None,
        "mean_iou": round(float(np.mean(ious)), 4) if ious else None,
        "score_difference": round(float(np.mean(scores)), 4) if scores else None,
        "cpu_ms_a_frame": round(1e3 * spent_s / (EVERY * (len(wanted) - 1) + 1), 2),
    }


def pairs(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Pairs of IoU 0.5 and more, the best first, each box in one."""
    if not len(boxes) or not len(others):
        return []
    ious = iou(boxes, others)
    found = []
    while ious.max() >= 0.5:
        a, b = np.unravel_index(int(ious.argmax()), ious.shape)
        found.append((int(a), int(b), float(ious[a, b])))
        ious[a, :], ious[:, b] = 0, 0
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument(
        "--frames", type=int, default=100, help="of each video, every fifth of which is compared"
    )
    parser.add_argument("--methods", default=",".join(METHODS), help="of videoscale; the first has the bound")
    parser.add_argument("--hardware", choices=("software", "jetson"), default="software")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    detect = Detector(arguments.bundle)
    network = detect.manifest.network
    methods = arguments.methods.split(",") if arguments.hardware == "software" else ["jetson"]
    rows: list[dict[str, Any]] = []
    for video in arguments.videos:
        first = islice(by_area(video, network), 0, arguments.frames, EVERY)
        wanted = [(planes, detect(planes)) for planes in first]
        ways = {"rounding": off_by_one(by_area(video, network))}
        ways |= {name: by_gstreamer(video, network, arguments.hardware, name) for name in methods}
        for name, frames in ways.items():
            rows.append({"video": video.stem, "scaler": name, **compare(frames, wanted, detect)})
    by_video = [rows[place : place + 1 + len(methods)] for place in range(0, len(rows), 1 + len(methods))]
    missed = [
        video
        for video, (rounding, in_use, *_) in zip(arguments.videos, by_video, strict=True)
        if (in_use["matched"] or 0) < (rounding["matched"] or 0) - MOST_LOST
    ]
    if arguments.json:
        print(json.dumps({"rows": rows, "passed": not missed}))
    else:
        from catseye.console import print_table

        for video, of_video in zip(arguments.videos, by_video, strict=True):
            names = [name for name in of_video[0] if name not in {"video", "scaler"}]
            body = [(name.replace("_", " "), *(row[name] for row in of_video)) for name in names]
            print_table(
                f"{video.stem}: against our area filter", ("", *(r["scaler"] for r in of_video)), body
            )
        told = "no" if missed else "yes"
        print(f"bound: {methods[0]} loses at most {MOST_LOST:.0%} more than rounding: {told}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
