"""How far away each tracked object of a stream is, from all cues that the network and the camera offer.

The depth map says it where depth was learned, the place on the road where the camera's height is known, and
the size in the picture where the class's own size is known. For these two, a lens that is known to bend the
picture is undone first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.approach import COURSE, Approach, Course
from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.cue import Float as Double
from catseye.runtime.ranging.depth_map import by_depth, depth_at
from catseye.runtime.ranging.errors import ERRORS, CueErrors
from catseye.runtime.ranging.fusion import fuse, with_common_error
from catseye.runtime.ranging.ground import Mount, Stand, by_ground
from catseye.runtime.ranging.horizon import Horizon
from catseye.runtime.ranging.known_sizes import Shapes
from catseye.runtime.ranging.scale import Road, Scale, Told, scale_by_sizes
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.straight import Straightener
from catseye.runtime.ranging.visibility import CutOff, cut_off

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
        closing_mps, closing_sigma_mps: (N,) metres a second by which the distance shrinks, and their standard
            deviation; None where the boxes are of no tracks.
        contact_s, contact_sigma_s: (N,) seconds until the nearest part of the object is level with the camera
            if both keep their speed, and their standard deviation, likewise; NaN as well where it is not
            clear that it comes nearer. They need no calibration.
    """

    relative: Float
    metres: Float
    sigma_m: Float
    closing_mps: Float | None = None
    closing_sigma_mps: Float | None = None
    contact_s: Float | None = None
    contact_sigma_s: Float | None = None


class Ranger:
    """Distances of one stream. It remembers the scale of depth, the camera's pitch, and its tracks.

    Args:
        depth: what the depth output means, or None where none was learned.
        calibration: of the camera, or None: then only relative distance is known.
        box: how the stream's frames lie in the network's.
        shapes: what is known of the size of each class, by class index.
        cues: those that may be used.
        errors: of the cues.
        course: how tracks come and go.
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
        course: Course = COURSE,
    ) -> None:
        self._depth, self._box, self._errors = depth, box, errors
        self._cues = cues
        self._K = None if calibration is None else calibration.network_matrix(box)
        self._mount: Mount | None = None
        self._horizon: Horizon | None = None
        if calibration is not None and calibration.height_m is not None:
            self._mount = Mount(calibration.height_m, calibration.pitch_rad)
            self._horizon = Horizon(self._mount, errors=errors)
        self._straight = (
            Straightener(calibration, box) if calibration is not None and calibration.bends else None
        )
        self._table = SizeTable(shapes)
        self._road: Road | None = None
        self._scale = Scale()
        self._approach = Approach(course)

    def measure(
        self,
        depth: Float | None,
        boxes_xyxy: Float,
        classes: NDArray[np.integer] | None = None,
        *,
        time_s: float,
        ids: NDArray[np.int64] | None = None,
    ) -> Distances:
        """Distances of boxes (N, 4) in network pixels.

        Args:
            depth: (h, w) over the network's frame; not looked at where none was learned.
            classes: (N,) class indices; without them no size is known.
            ids: (N,) of the tracks that the boxes are of, rising: then distances are smoothed along each
                track. Without them each frame stands alone.
        """
        boxes, unknown = boxes_xyxy.astype(np.float64), Cue.silent(len(boxes_xyxy)).log_m.astype(np.float32)
        if depth is not None and self._depth is not None:
            relative, spread = depth_at(depth, boxes, self._box)
        else:
            relative = spread = unknown
        cut, heights = cut_off(boxes, self._box), boxes[:, 3] - boxes[:, 1]
        distance = None
        if self._K is not None:
            distance = self._distance(depth, (relative, spread), boxes, classes, cut, time_s)
        if ids is None:
            return Distances(relative, *(_metres(distance) if distance is not None else (unknown, unknown)))
        edges = 2 * self._errors.edges.variance(heights) / np.maximum(heights, 1.0) ** 2
        height = Cue.of(heights, np.where(cut.top | cut.bottom, np.inf, edges))
        motion = self._approach.see(ids, distance, height, time_s=time_s)
        contact = motion.contact_s.astype(np.float32), motion.contact_sigma_s.astype(np.float32)
        if distance is None:
            return Distances(relative, unknown, unknown, unknown, unknown, *contact)
        closing = motion.closing_mps.astype(np.float32), motion.closing_sigma_mps.astype(np.float32)
        return Distances(relative, *_metres(motion.distance), *closing, *contact)

    def _distance(
        self,
        depth: Float | None,
        seen: tuple[Float, Float],
        boxes: Double,
        classes: NDArray[np.integer] | None,
        cut: CutOff,
        time_s: float,
    ) -> Cue:
        """What all cues together say of this frame alone."""
        assert self._K is not None
        K, size = self._K, Cue.silent(len(boxes))
        straight = boxes if self._straight is None else self._straight(boxes)
        if classes is not None and self._table.known:
            size = by_size(straight, classes, cut, float(K[1, 1]), self._table, errors=self._errors)
        said = [size] if "size" in self._cues else []
        if "ground" in self._cues and self._mount is not None:
            assert self._horizon is not None
            fy, stand = float(K[1, 1]), Stand.of(straight, K, self._mount, errors=self._errors)
            sized = size if said else Cue.silent(len(boxes))
            pitch = self._horizon.see(stand, cut, sized, focal_px=fy, time_s=time_s)
            ground, common = by_ground(stand, cut, self._mount, pitch, focal_px=fy, errors=self._errors)
            said = [*with_common_error(ground, size, common)] if said else [ground]
        if "depth" in self._cues and depth is not None and self._depth is not None:
            said.append(self._by_depth(depth, seen, boxes, size, time_s))
        return fuse(said or [Cue.silent(len(boxes))])

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


def _metres(distance: Cue) -> tuple[Float, Float]:
    """With their standard deviation."""
    metres = np.exp(distance.log_m)
    sigma = metres * np.sqrt(distance.variance)
    return metres.astype(np.float32), sigma.astype(np.float32)
