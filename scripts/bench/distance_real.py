"""Real boxes whose distance something else has measured: stereo, lidar, and TuSimple's own reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from distance_figures import Float, Measured
from numpy.typing import NDArray
from stereo_pairs import read_drive
from yolox import COCO, Yolox

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Image, letterbox
from catseye.runtime.distance import CueName, Ranger
from catseye.runtime.ranging.errors import ERRORS, BoxErrors, CueErrors
from catseye.runtime.ranging.known_sizes import shapes_of

KITTI_HEIGHT_M = 1.65
"""Of its cameras above the road, by Geiger et al., "Vision meets Robotics", IJRR 2013; not their pitch."""

_NAMES = ("car", "van", "truck", "bus", "person", "cyclist", "motorcycle", "bicycle", "vehicle")
_KITTI = {"Car": "car", "Van": "van", "Truck": "truck", "Pedestrian": "person", "Cyclist": "cyclist"}
_ACROSS, _DOWN = (0.25, 0.75), (0.45, 0.9)
_LEAST_REFERENCE = 8
_LEAST_SHARE = 0.4
_SURE = 0.4
_MATCHED_IOU = 0.5


@dataclass(frozen=True)
class Case:
    """One picture's boxes (N, 4) in its own pixels, their class names, and distances in metres."""

    calibration: Calibration
    boxes: NDArray[np.float32]
    names: tuple[str, ...]
    true_m: Float


def measure_cases(
    cases: Sequence[Case], cues: Sequence[CueName], *, fps: float | None = None, errors: CueErrors = ERRORS
) -> Measured:
    """All of them as a runtime without depth would, edges as a detector's.

    Args:
        fps: they are one camera's drive at that rate; without, each picture is by itself.
    """
    rows: list[tuple[Float, ...]] = []
    ranger: Ranger | None = None
    for number, case in enumerate(cases):
        width, height = case.calibration.width, case.calibration.height
        box = letterbox(width, height, width // 32 * 32, height // 32 * 32)
        if ranger is None or fps is None:
            ranger = Ranger(
                depth=None,
                calibration=case.calibration,
                box=box,
                shapes=[shapes_of(name) for name in _NAMES],
                cues=cues,
                errors=errors,
            )
        classes = np.array([_NAMES.index(name) for name in case.names], dtype=np.int32)
        time_s = 0.0 if fps is None else number / fps
        told = ranger.measure(None, box.boxes_to_network(case.boxes), classes, time_s=time_s)
        rows.append((case.true_m, told.metres.astype(np.float64), told.sigma_m.astype(np.float64)))
    true, metres, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Measured(true, metres, sigma)


def stereo_cases(folder: Path, detector: Path) -> list[Case]:
    """Boxes of YOLOX on the left pictures, with what semi-global matching sees within each."""
    drive, find = read_drive(folder), Yolox(detector)
    fx, fy, cx, cy = drive.intrinsics
    height, width = drive.pictures.shape[1:3]
    calibration = Calibration(
        width=width,
        height=height,
        K=((fx, 0, cx), (0, fy, cy), (0, 0, 1)),
        height_m=KITTI_HEIGHT_M,
    )
    cases = []
    for picture, depth in zip(drive.pictures, drive.depth, strict=True):
        found = find(picture, threshold=_SURE)
        names = tuple(COCO[index] for index in found.classes.tolist())
        cases.append(_with_reference(calibration, found.boxes, names, depth, least_share=_LEAST_SHARE))
    return cases


def lidar_cases(folder: Path) -> list[Case]:
    """KITTI's labelled boxes, with the lidar's points within each."""
    cases = []
    for path in sorted(folder.glob("*_depth.png")):
        name = path.name.removesuffix("_depth.png")
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
        depth = np.where(raw > 0, raw, np.nan)
        lines = (folder / f"{name}_calib.txt").read_text().splitlines()
        rows = {line.split(":")[0]: line.split(":")[1].split() for line in lines if ":" in line}
        P = np.array(rows["P2"], dtype=np.float64).reshape(3, 4)
        calibration = Calibration(
            width=raw.shape[1],
            height=raw.shape[0],
            K=((P[0, 0], 0, P[0, 2]), (0, P[1, 1], P[1, 2]), (0, 0, 1)),
            height_m=KITTI_HEIGHT_M,
        )
        labels = [line.split() for line in (folder / f"{name}_label.txt").read_text().splitlines()]
        known = [label for label in labels if label[0] in _KITTI]
        boxes = np.array([label[4:8] for label in known], dtype=np.float32).reshape(-1, 4)
        names = tuple(_KITTI[label[0]] for label in known)
        cases.append(_with_reference(calibration, boxes, names, depth, least_share=0.0))
    return cases


def tusimple_cases(folder: Path) -> list[Case]:
    """The one vehicle of each clip of which TuSimple gives box and place."""
    cases = []
    for clip in sorted(path for path in folder.iterdir() if path.is_dir()):
        path = next(clip / name for name in ("gt.json", "annotation.json") if (clip / name).exists())
        K = np.loadtxt((clip / "calibration.txt").read_text().splitlines()[1:4])
        rows = [row for row in json.loads(path.read_text()) if "position" in row]
        edges = ("left", "top", "right", "bottom")
        calibration = Calibration(
            width=1280,
            height=720,
            K=((K[0, 0], 0, K[0, 2]), (0, K[1, 1], K[1, 2]), (0, 0, 1)),
            height_m=1.80,
        )
        boxes = np.array([[row["bbox"][edge] for edge in edges] for row in rows], dtype=np.float32)
        true = np.array([row["position"][0] for row in rows], dtype=np.float64)
        cases.append(Case(calibration, boxes.reshape(-1, 4), ("vehicle",) * len(rows), true))
    return cases


def detector_edges(folder: Path, detector: Path, *, stills: int) -> tuple[BoxErrors, int]:
    """How far YOLOX's edges are from labelled ones, in pixels of its own input, and over how many boxes.

    A constant and a share of the height are fitted to the robust deviation of top and bottom edges in bins
    of height. What the labels miss by is in it.
    """
    find, rows = Yolox(detector), []
    for rgb, labelled, scale in _labelled(folder, stills):
        found = find(rgb, threshold=_SURE).boxes
        low = np.maximum(found[:, None, :2], labelled[None, :, :2])
        high = np.minimum(found[:, None, 2:], labelled[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=2)
        areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (found, labelled)]
        overlap = shared / (areas[0][:, None] + areas[1][None] - shared)
        for row, column in enumerate(overlap.argmax(axis=1)):
            if overlap[row, column] >= _MATCHED_IOU:
                off = (labelled[column] - found[row])[[1, 3]]
                rows.append((scale * (labelled[column, 3] - labelled[column, 1]), *(scale * off)))
    table = np.array(rows)
    heights, variances = [], []
    for part in np.array_split(table[np.argsort(table[:, 0])], 8):
        deviation = 1.4826 * np.median(np.abs(part[:, 1:] - np.median(part[:, 1:], axis=0)), axis=0)
        heights.append(float(np.median(part[:, 0])))
        variances.append(float((deviation**2).mean()))
    design = np.stack([np.ones(len(heights)), np.square(heights)], axis=1)
    weights = 1 / np.array(variances)
    fitted = np.linalg.lstsq(design * weights[:, None], np.array(variances) * weights, rcond=None)[0]
    return BoxErrors(*np.sqrt(np.clip(fitted, 0, None)).tolist()), len(table)


def _labelled(folder: Path, stills: int) -> Iterator[tuple[Image, Float, float]]:
    """Training stills with boxes, and YOLOX's pixels a pixel."""
    coco = json.loads((folder / "instances_coco.json").read_text())
    listed = {Path(line).name for line in (folder / "train.txt").read_text().split()}
    for image in [each for each in coco["images"] if Path(each["file_name"]).name in listed][:stills]:
        boxes = [each["bbox"] for each in coco["annotations"] if each["image_id"] == image["id"]]
        if not boxes:
            continue
        labelled = np.array(boxes, dtype=np.float64)
        labelled[:, 2:] += labelled[:, :2]
        bgr = cv2.imread(str(folder / "images" / image["file_name"]))
        yield bgr[..., ::-1], labelled, 416 / max(image["width"], image["height"])


def _with_reference(
    calibration: Calibration,
    boxes: NDArray[np.float32],
    names: tuple[str, ...],
    depth: NDArray[np.floating],
    *,
    least_share: float,
) -> Case:
    """Boxes for which the lower middle has enough measured depth (H, W), by its median."""
    kept, true = [], []
    for row, (left, top, right, bottom) in enumerate(boxes):
        x0, x1 = (left + (right - left) * share for share in _ACROSS)
        y0, y1 = (top + (bottom - top) * share for share in _DOWN)
        inside = depth[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))]
        known = inside[np.isfinite(inside)]
        if len(known) >= max(_LEAST_REFERENCE, least_share * inside.size):
            kept.append(row)
            true.append(float(np.median(known)))
    return Case(calibration, boxes[kept], tuple(names[row] for row in kept), np.array(true))
