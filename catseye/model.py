"""A trained model in Python: a run predicts with torch, a bundle with the engine of a vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image, rgb_to_network

if TYPE_CHECKING:
    from catseye.pretrain.checkpoint import CheckpointInfo
    from catseye.pretrain.detector import Detector
    from catseye.runtime.bundle import Manifest
    from catseye.runtime.engines.base import Engine


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, best score first.

    Args:
        boxes_xyxy: (N, 4) float32 corners in the picture's own pixels.
        scores: (N,) float32 in [0, 1].
        classes: (N,) int32 indices into ``names``.
        names: of the model's classes.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    names: tuple[str, ...]


class Model(Protocol):
    """What ``catseye.load`` gives."""

    names: tuple[str, ...]

    def predict(self, rgb: Image, *, threshold: float = 0.3) -> Detections:
        """Detect in an RGB picture (H, W, 3) uint8 of any size what scores ``threshold`` or more."""
        ...


class RunModel:
    """A fine-tuning run."""

    def __init__(self, detector: Detector, info: CheckpointInfo) -> None:
        self.names = info.classes
        self._detector, self._info = detector, info

    def predict(self, rgb: Image, *, threshold: float = 0.3) -> Detections:
        from catseye.pretrain.prediction import predict

        found = predict(self._detector, rgb, width=self._info.width, height=self._info.height)
        return _kept(found.boxes, found.scores, found.classes, self.names, threshold)


class BundleModel:
    """An exported bundle on an engine of this machine."""

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self.names = manifest.classes
        self._engine, self._manifest = engine, manifest

    def predict(self, rgb: Image, *, threshold: float = 0.3) -> Detections:
        from catseye.runtime.suppression import chosen

        network = self._manifest.network
        box = network.letterbox(rgb.shape[1], rgb.shape[0])
        found = self._engine.infer(np.stack([rgb_to_network(rgb, box)] * network.batch))
        boxes, scores, classes = found.boxes[0], found.scores[0], found.classes[0]
        kept = chosen(boxes, scores, classes, least=threshold, nms_iou=self._manifest.nms_iou)
        return Detections(box.boxes_to_source(boxes[kept]), scores[kept], classes[kept], self.names)


def load(run_or_bundle: str | Path) -> Model:
    """Load a fine-tuning run's folder, or a bundle.

    Raises:
        InputError: it is neither, or is damaged, or the bundle is not signed by a trusted key.
    """
    path = Path(run_or_bundle)
    if path.is_dir():
        from catseye.pretrain.detector import load_detector

        return RunModel(*load_detector(path))
    from catseye.runtime import load_engine, open_bundle

    bundle = open_bundle(path)
    return BundleModel(load_engine(bundle), bundle.manifest)


def _kept(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32],
    names: tuple[str, ...],
    threshold: float,
) -> Detections:
    kept = scores >= threshold
    return Detections(boxes[kept], scores[kept], classes[kept], names)
