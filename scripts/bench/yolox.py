"""Boxes of YOLOX (Ge et al., arXiv 2107.08430) as exported by its authors, on plain ONNX Runtime.

The picture lies in the upper left of the network's square, the rest grey; three maps of cells at strides 8,
16 and 32 come out one after the other, as offset, log size, objectness and class scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from catseye.capture.geometry import PAD_VALUE, Image

STRIDES = (8, 16, 32)
COCO = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
_NMS_IOU = 0.65


@dataclass(frozen=True)
class Found:
    """Boxes (N, 4) xyxy in the picture's pixels, scores (N,), and classes (N,) by COCO's index."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


class Yolox:
    """The network at its own size."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._input, self._size = given.name, (given.shape[3], given.shape[2])
        width, height = self._size
        cells = [(s, *np.meshgrid(np.arange(width // s), np.arange(height // s))) for s in STRIDES]
        self._corner = np.concatenate([np.stack([x.ravel(), y.ravel()], axis=1) for _, x, y in cells])
        self._stride = np.concatenate([np.full(x.size, s) for s, x, _ in cells])[:, None]

    def candidates(self, rgb: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of every cell for a picture (H, W, 3): boxes (N, 4) in its pixels, and scores of all of COCO's
        classes (N, C)."""
        scale = min(self._size[0] / rgb.shape[1], self._size[1] / rgb.shape[0])
        inner = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        frame = np.full((self._size[1], self._size[0], 3), PAD_VALUE, np.float32)
        frame[: inner[1], : inner[0]] = cv2.resize(rgb, inner, interpolation=cv2.INTER_LINEAR)[..., ::-1]
        (out,) = self._session.run(None, {self._input: frame.transpose(2, 0, 1)[None]})
        cells = out[0]
        middle = (cells[:, :2] + self._corner) * self._stride / scale
        size = np.exp(cells[:, 2:4]) * self._stride / scale
        boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
        return boxes.astype(np.float32), cells[:, 5:] * cells[:, 4:5]

    def __call__(self, rgb: Image, *, threshold: float) -> Found:
        """What is in a picture (H, W, 3) of COCO's road users, one box an object, best score first."""
        boxes, of_all = self.candidates(rgb)
        by_class = of_all[:, list(COCO)]
        best, scores = by_class.argmax(axis=1), by_class.max(axis=1)
        good = scores >= threshold
        boxes, scores, best = boxes[good], scores[good], best[good]
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = np.asarray(cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), threshold, _NMS_IOU), int).ravel()
        return Found(boxes[kept], scores[kept].astype(np.float32), np.array(list(COCO))[best[kept]])
