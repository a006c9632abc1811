"""What is true of a rendered clip: the contract ``<name>.truth.npz``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.rendering.vehicles import CLASSES
from catseye.errors import InputError
from catseye.files import replacing

_VERSION = 1


@dataclass(frozen=True)
class Truth:
    """Truth of a clip of T frames with M boxes in all and V vehicles.

    Args:
        pts: (T,) int64, of each frame in units of the file's time base.
        boxes: (M, 4) float32 xyxy in source pixels: the vehicle's whole silhouette, hidden parts too, as far
            as it lies in the picture; exact to half a pixel.
        frame_index: (M,) int32, ascending.
        track_ids: (M,) int32, one number a vehicle throughout the clip.
        classes: (M,) int32 indices into ``CLASSES``.
        visibility: (M,) float32: the part of the silhouette in the picture that nothing hides, times the part
            of the box that lies in the picture.
        distances_m: (M,) float32, camera z of the vehicle's nearest corner.
        depth: (T, h, w) float16, camera z in metres at a quarter of the resolution, sampled at the middle of
            each 4×4 block of pixels; inf for the sky.
        poses: (T, 4, 4) float64 camera-to-world in metres, the camera's axes as OpenCV's.
        speed_mps: (T,) float32 by central differences of the camera's places; one-sided at the ends.
        K: (3, 3) float64, pixel (0, 0) spanning [0, 1).
    """

    pts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    frame_index: NDArray[np.int32]
    track_ids: NDArray[np.int32]
    classes: NDArray[np.int32]
    visibility: NDArray[np.float32]
    distances_m: NDArray[np.float32]
    depth: NDArray[np.float16]
    poses: NDArray[np.float64]
    speed_mps: NDArray[np.float32]
    K: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pts)

    def save(self, path: Path) -> None:
        """Write as a compressed npz; the same truth gives the same bytes."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        with replacing(path) as aside:
            np.savez_compressed(aside, version=np.int64(_VERSION), class_names=np.array(CLASSES), **arrays)


def load_truth(path: Path) -> Truth:
    """Read a ``.truth.npz``.

    Raises:
        InputError: it is absent, is no truth file, or of another version.
    """
    remedy = "render it again with: catseye synth"
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if int(archive["version"]) != _VERSION:
                raise InputError(path, f"has version {int(archive['version'])}, not {_VERSION}", remedy)
            return Truth(**{field.name: archive[field.name] for field in fields(Truth)})
    except FileNotFoundError:
        raise InputError(path, "no such file", remedy) from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(path, f"is not the truth of a rendered clip ({error})", remedy) from None
