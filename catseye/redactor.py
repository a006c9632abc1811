"""What ingest is to blur, found by a detector of ours: ``ingest --blur BUNDLE --blur-classes person``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.errors import UsageError
from catseye.files import sha256_of
from catseye.model import load

BLUR_THRESHOLD = 0.1
"""Score from which something is blurred: low, since a face left sharp is worse than a bush blurred."""


class Redactor:
    """Boxes of some of a detector's classes. It pickles; each process opens the detector for itself.

    Args:
        detector: a bundle, or the folder of a fine-tuning run.
        classes: names of the detector's classes.

    Raises:
        InputError: it is no detector.
        UsageError: no class is named, or one that the detector does not have.
    """

    def __init__(self, detector: Path, classes: Sequence[str]) -> None:
        model = load(detector)
        if not classes:
            raise UsageError(f"--blur needs --blur-classes: choose from {', '.join(model.names)}")
        for name in classes:
            if name not in model.names:
                raise UsageError(f"--blur-classes {name!r}: {detector} has {', '.join(model.names)}")
        self._path, self._model = detector, model
        self._wanted = np.array([model.names.index(name) for name in classes], dtype=np.int32)
        self.described = f"{detector.name} {_content(detector)[:12]} on {', '.join(sorted(set(classes)))}"

    def __call__(self, rgb: Image, /) -> NDArray[np.floating]:
        """Boxes (N, 4) in the pixels of a picture (H, W, 3) uint8."""
        found = self._model.predict(rgb, threshold=BLUR_THRESHOLD)
        return found.boxes_xyxy[np.isin(found.classes, self._wanted)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model = load(self._path)


def _content(detector: Path) -> str:
    return sha256_of(detector / "model.safetensors" if detector.is_dir() else detector)
