"""What every engine does: uint8 inputs in, fixed-size detections, and depth where the network has it, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image

InputLayout = Literal["rgb8", "nv12"]
"""How frames enter a graph: as RGB pixels, or as a plane of luma and one of chroma pairs at half size."""

INPUT_NAME = "frames"
INPUT_NAMES: Mapping[InputLayout, tuple[str, ...]] = MappingProxyType(
    {"rgb8": (INPUT_NAME,), "nv12": ("luma", "chroma")}
)
"""Inputs of a graph in order."""

Inputs: TypeAlias = Mapping[str, Image]
"""Frames in a graph's layout: a uint8 array for each of its inputs by name, frames along the first axis.

``rgb8`` has ``frames`` (N, H, W, 3); ``nv12`` has ``luma`` (N, H, W) and ``chroma`` (N, H/2, W/2, 2), where
Cb comes first.
"""

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

    def infer(self, inputs: Inputs) -> EngineOutput:
        """Run on a whole batch of frames of the network's size, in the graph's own layout."""
        ...

    def close(self) -> None:
        """Release the device's memory."""
        ...


@runtime_checkable
class OverlappingEngine(Engine, Protocol):
    """An engine that works on one call while the next is made ready; two may be under way."""

    def start(self, inputs: Inputs) -> int:
        """Begin a call; the number is for ``finish``, calls are finished in their order."""
        ...

    def finish(self, number: int) -> EngineOutput:
        """Wait for a call's outputs."""
        ...
