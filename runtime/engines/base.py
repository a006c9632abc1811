"""What every engine does: uint8 frames in, fixed-size detections, and depth where the network has it, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image

INPUT_NAME = "frames"
OUTPUT_NAMES = ("boxes", "scores", "classes", "embeddings", "depth")
"""Outputs in order; the first three are in every graph."""


@dataclass(frozen=True)
class EngineOutput:
    """One call's result for N frames and K detection slots, best score first; free slots have score 0.

    Args:
        boxes: (N, K, 4) float32 corners x1 y1 x2 y2 in network pixels.
        scores: (N, K) float32 in [0, 1], not thresholded.
        classes: (N, K) int32 indices into the manifest's classes.
        embeddings: (N, K, E) float32 of unit length, or None where the network has none.
        depth: (N, h, w) float32, canonical depth, see the manifest's ``depth``, or None likewise.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    embeddings: NDArray[np.float32] | None = None
    depth: NDArray[np.float32] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What there is, by name, in the order of ``OUTPUT_NAMES``."""
        found = {name: getattr(self, name) for name in OUTPUT_NAMES}
        return {name: array for name, array in found.items() if array is not None}


class Engine(Protocol):
    """A graph ready to run."""

    name: str
    """What executes it, for the device fingerprint."""

    def infer(self, frames: Image) -> EngineOutput:
        """Run on (N, H, W, 3) uint8 RGB frames of the network's size."""
        ...

    def close(self) -> None:
        """Release the device's memory."""
        ...
