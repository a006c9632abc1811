"""How far away each tracked object of a stream is, from all cues that the network and the camera offer.

The depth map says it where depth was learned, the place on the road where the camera's height is known, and
the size in the picture where the class's own size is known. The camera is taken for a pinhole: lens
distortion is not undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.cue import Float as Double
from catseye.runtime.ranging.depth_map import by_depth, depth_at
from catseye.runtime.ranging.errors import ERRORS, CueErrors
from catseye.runtime.ranging.fusion import fuse
from catseye.runtime.ranging.ground import Mount, by_ground
from catseye.runtime.ranging.known_sizes import Shapes
from catseye.runtime.ranging.scale import Road, Scale, Told, scale_by_sizes
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.visibility import cut_off

Float = NDArray[np.float32]

CueName = Literal["depth", "ground", "size"]
CUES: tuple[CueName, ...] = ("depth", "ground", "size")


class DepthMeaning(Protocol):
    """The manifest's ``depth``."""

    @property
    def canonical_focal_px(self) -> float: ...
    @property
    def metric(self) -> bool: ...


@dataclass(frozen=True)
class Distances:
    """One row a box; NaN where unknown.

    Args:
        relative: (N,) canonical depth at the box, to compare within a stream.
        metres: (N,) along the optical axis, to the nearest part of the object.
        sigma_m: (N,) standard deviation in metres. How it was checked is in ``scripts/bench/distance.py``.
    """

    relative: Float
    metres: Float
    sigma_m: Float


class Ranger:
    """Distances of one stream. It remembers the scale of depth from frame to frame.

    Args:
        depth: what the depth output means, or None where none was learned.
        calibration: of the camera, or None: then only relative distance is known.
        box: how the stream's frames lie in the network's.
        shapes: what is known of the size of each class, by class index.
        cues: those that may be used.
        errors: of the cues.
    """

    def __init__(
        self,
        *,
        depth: DepthMeaning | None,
        calibration: Calibration | None,
        box: Letterbox,
        shapes: Sequence[Shapes] = (),
        cues: Sequence[CueName] = CUES,
        errors: CueErrors = ERRORS,
    ) -> None:
        self._depth, self._box, self._errors = depth, box, errors
        self._cues = cues
        self._K = None if calibration is None else calibration.network_matrix(box)
        self._mount: Mount | None = None
        if calibration is not None and calibration.height_m is not None:
            self._mount = Mount(calibration.height_m, calibration.pitch_rad)
        self._table = SizeTable(shapes)
        self._road: Road | None = None
        self._scale = Scale()

    def measure(
        self,
        depth: Float | None,
        boxes_xyxy: Float,
        classes: NDArray[np.integer] | None = None,
        *,
        time_s: float,
    ) -> Distances:
        """Distances of boxes (N, 4) in network pixels.

        Args:
            depth: (h, w) over the network's frame; not looked at where none was learned.
            classes: (N,) class indices; without them no size is known.
        """
        boxes = boxes_xyxy.astype(np.float64)
        unknown = np.full(len(boxes), np.nan, dtype=np.float32)
        seen = None
        if depth is not None and self._depth is not None:
            seen = depth_at(depth, boxes, self._box)
        relative = unknown if seen is None else seen[0]
        K = self._K
        if K is None:
            return Distances(relative, unknown, unknown)
        cut, size = cut_off(boxes, self._box), Cue.silent(len(boxes))
        if classes is not None and self._table.known:
            size = by_size(boxes, classes, cut, float(K[1, 1]), self._table, errors=self._errors)
        said = [size] if "size" in self._cues else []
        if "ground" in self._cues and self._mount is not None:
            said.append(by_ground(boxes, cut, K, self._mount, errors=self._errors))
        if "depth" in self._cues and depth is not None and seen is not None:
            said.append(self._by_depth(depth, seen, boxes, size, time_s))
        fused = fuse(said or [Cue.silent(len(boxes))])
        metres = np.exp(fused.log_m)
        with np.errstate(invalid="ignore"):
            sigma = metres * np.sqrt(fused.variance)
        return Distances(relative, metres.astype(np.float32), sigma.astype(np.float32))

    def _by_depth(
        self, depth: Float, seen: tuple[Float, Float], boxes: Double, size: Cue, time_s: float
    ) -> Cue:
        """What the depth map says, in metres where its scale is known."""
        assert self._depth is not None and self._K is not None
        gain = float(self._K[0, 0]) / self._depth.canonical_focal_px
        relative, spread = (values.astype(np.float64) for values in seen)
        inside, heights = spread / np.maximum(relative, 1e-6), boxes[:, 3] - boxes[:, 1]
        cue = by_depth(relative * gain, inside, heights, errors=self._errors)
        if self._depth.metric:
            return cue
        by_sizes = scale_by_sizes(cue, size)
        self._scale.see(self._scale_by_road(depth * np.float32(gain), boxes), by_sizes, time_s=time_s)
        return Cue.of(np.exp(cue.log_m) * self._scale.metres, cue.variance + self._scale.variance)

    def _scale_by_road(self, camera_depth: Float, boxes: Double) -> Told | None:
        if self._mount is None or self._K is None:
            return None
        if self._road is None:
            height, width = camera_depth.shape
            self._road = Road(self._K, self._mount, box=self._box, shape=(height, width), errors=self._errors)
        return self._road.scale(camera_depth, boxes)
