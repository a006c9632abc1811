"""People are found for `ingest --blur` by a wrapped YOLOX-Nano."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from catseye.export import wrap
from catseye.redactor import Redactor


def test_a_real_pedestrian_is_found(shared_data: Path, tmp_path: Path) -> None:
    detectors, stills = shared_data / "detectors", shared_data / "depth_pose" / "kitti_object_lidar"
    bundle = wrap(
        detectors / "yolox_nano_416.onnx",
        tmp_path / "coco.catseye",
        decoder="yolox",
        classes=detectors / "coco.names",
    )
    (label,) = [line.split() for line in (stills / "000000_label.txt").read_text().splitlines()]
    assert label[0] == "Pedestrian"
    truth = np.array(label[4:8], dtype=np.float32)
    rgb = np.ascontiguousarray(cv2.imread(str(stills / "000000.png"))[..., ::-1])
    best = Redactor(bundle.path, ["person"])(rgb)[0]
    low, high = np.maximum(best[:2], truth[:2]), np.minimum(best[2:], truth[2:])
    shared = (high - low).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (best, truth)]
    assert shared / (sum(areas) - shared) > 0.5
