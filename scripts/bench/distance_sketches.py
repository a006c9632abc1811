"""Drives of which only boxes and distances are worked out and no picture is drawn: many, and fast.

They are the rendered world's own drives, with vehicles, lanes, traffic and cameras by the same draws; but the
road may rise and fall and the camera nod as on real roads, where the rendered world is flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from distance_figures import Float
from distance_worlds import SEEN, Sample, Stream
from numpy.typing import NDArray

from catseye.capture.geometry import letterbox
from catseye.capture.lens import LensModel, distorted
from catseye.capture.rendering.camera import inverse, pose
from catseye.capture.rendering.clip import ClipSpec, World, build_world
from catseye.capture.rendering.look import Appearance
from catseye.capture.rendering.vehicles import Vehicle

_NEAR_M, _SIGHT_M = 0.3, 110.0
_LEAST_BOX_PX = 4.0
_PROFILE_STEP_M = 1.0
_EDGE_POINTS = 5
"""Points of each edge of a face that a lens may bend."""
_STREAM = 77
"""Keeps the draws of a ride apart from those of the world."""


@dataclass(frozen=True)
class Ride:
    """How a camera rides, beside what the rendered world does to it.

    Args:
        mount_rad: standard deviation of the calibration's pitch against the camera's on average.
        nod_rad, nod_s: of the nodding, and the seconds that it lasts.
        curvature, curvature_m: standard deviation of the road's vertical curvature, 1/m, and the metres that
            it lasts.
        tilt: of the road to the side, in metres a metre, another in each drive.
        lens, coefficients: what the picture is seen through.
    """

    mount_rad: float = 0.0
    nod_rad: float = 0.0
    nod_s: float = 0.5
    curvature: float = 0.0
    curvature_m: float = 100.0
    tilt: float = 0.0
    lens: LensModel = "none"
    coefficients: tuple[float, ...] = ()


FLAT = Ride()


def sketch(
    *,
    seed: int,
    clips: int,
    frames: int,
    fps: float,
    size: tuple[int, int],
    appearance: Appearance,
    rides: Sequence[Ride] = (FLAT,),
) -> list[list[Stream]]:
    """The same drives on each ride, as a network of the pictures' own size would see them."""
    streams: list[list[Stream]] = [[] for _ in rides]
    for number in range(clips):
        spec = ClipSpec(seed, number, frames, fps, *size, appearance)
        world = build_world(spec)
        for of_ride, ride in zip(streams, rides, strict=True):
            of_ride.append(_stream(spec, world, ride))
    return streams


def _stream(spec: ClipSpec, world: World, ride: Ride) -> Stream:
    rng = np.random.default_rng([spec.seed, spec.number, _STREAM])
    times = np.arange(spec.frames) / spec.fps
    off = ride.mount_rad * rng.normal() + ride.nod_rad * _lasting(rng, spec.frames, 1 / spec.fps, ride.nod_s)
    rise = _Profile(rng, world, ride)
    box = letterbox(spec.width, spec.height, spec.width, spec.height)
    roll = ride.tilt * rng.normal()
    samples = []
    for frame in range(spec.frames):
        camera = world.poses[frame] @ pose(np.zeros(3), heading=0.0, pitch=float(off[frame]), roll=roll)
        boxes, classes, true_m = _seen(spec, world, ride, camera, rise, frame)
        samples.append(Sample(float(times[frame]), box.boxes_to_network(boxes), classes, true_m))
    known = {"distortion_model": ride.lens, "distortion": ride.coefficients, "rectified": False}
    return Stream(world.camera.calibration(spec.name).model_copy(update=known), box, tuple(samples))


def _lasting(rng: np.random.Generator, count: int, step: float, lasts: float) -> Float:
    """(count,) of unit deviation, alike over ``lasts``."""
    keep = float(np.exp(-step / lasts))
    values = rng.normal(size=count)
    for k in range(1, count):
        values[k] = keep * values[k - 1] + np.sqrt(1 - keep**2) * values[k]
    return values


class _Profile:
    """How far the road is above the plane that it goes along at the camera."""

    def __init__(self, rng: np.random.Generator, world: World, ride: Ride) -> None:
        last = float(world.motion.s[:, 0].max()) + _SIGHT_M + 20
        self._s = np.arange(-60.0, last, _PROFILE_STEP_M)
        bend = ride.curvature * _lasting(rng, len(self._s), _PROFILE_STEP_M, ride.curvature_m)
        self._slope = np.cumsum(bend) * _PROFILE_STEP_M
        self._rise = np.cumsum(self._slope) * _PROFILE_STEP_M

    def at(self, s: Float, *, camera_s: float) -> tuple[Float, Float]:
        """Metres above that plane, and slope against it, at places along the road."""
        here = np.append(s, camera_s)
        slope = np.interp(here, self._s, self._slope)
        rise = np.interp(here, self._s, self._rise)
        return rise[:-1] - rise[-1] - slope[-1] * (s - camera_s), slope[:-1] - slope[-1]


def _seen(
    spec: ClipSpec, world: World, ride: Ride, camera: Float, rise: _Profile, frame: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], Float]:
    """Boxes (N, 4) in pixels, classes (N,) and distances (N,) of what is seen of one frame."""
    s, view = world.motion.s[frame], inverse(camera)
    near = (s > s[0] - 12) & (s < s[0] + _SIGHT_M)
    near[0] = False
    tracks = np.flatnonzero(near)
    x, z, heading = world.road.place(s, world.motion.d[frame])
    turned = heading + world.motion.yaw[frame] + np.where(world.directions < 0, np.pi, 0.0)
    above, slope = rise.at(s[tracks], camera_s=float(s[0]))
    # Against the road's own direction, what rises ahead falls behind.
    slope = np.where(world.directions[tracks] < 0, -slope, slope)
    found = []
    for track, high, steep in zip(tracks.tolist(), above.tolist(), slope.tolist(), strict=True):
        place = np.array([x[track], -high, z[track]])
        placed = pose(place, heading=float(turned[track]), pitch=-steep)
        found.append((track, *_outline(world.vehicles[track], view @ placed, world, ride)))
    found = [each for each in found if each[2] > _NEAR_M]
    found.sort(key=lambda each: -each[2])
    rows = list(_boxes(spec, found))
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    classes = np.array([world.vehicles[row[1]].category for row in rows], np.int32)
    return boxes, classes, np.array([row[2] for row in rows])


def _outline(vehicle: Vehicle, to_camera: Float, world: World, ride: Ride) -> tuple[Float, float]:
    """Points (P, 2) around a vehicle's faces in pixels, and the depth of its nearest corner."""
    corners = vehicle.faces.corners @ to_camera[:3, :3].T + to_camera[:3, 3]
    nearest = float(corners[..., 2].min())
    share = np.linspace(0, 1, _EDGE_POINTS if ride.lens != "none" else 2)[:, None, None, None]
    edges = (1 - share) * corners + share * np.roll(corners, 1, axis=1)
    points = edges.reshape(-1, 3)
    rays = distorted(points[:, :2] / np.maximum(points[:, 2:], _NEAR_M), ride.lens, ride.coefficients)
    return rays * world.camera.focal + (world.camera.cx, world.camera.cy), nearest


def _boxes(
    spec: ClipSpec, found: Sequence[tuple[int, Float, float]]
) -> Iterator[tuple[list[float], int, float]]:
    """Box, track and distance of each that is seen well enough, farthest first."""
    owners = np.full((spec.height, spec.width), -1, np.int16)
    covers = []
    for track, outline, _ in found:
        hull = cv2.convexHull(outline.astype(np.float32)).round().astype(np.int32)
        mask = np.zeros(owners.shape, np.uint8)
        cv2.fillConvexPoly(mask, hull, 1)
        owners[mask > 0] = track
        covers.append(int(mask.sum()))
    limit = np.array([spec.width, spec.height], np.float64)
    for (track, outline, metres), covered in zip(found, covers, strict=True):
        low, high = outline.min(axis=0), outline.max(axis=0)
        inside = np.clip(np.stack([low, high]), 0, limit)
        share = float((inside[1] - inside[0]).prod() / max((high - low).prod(), 1e-6))
        seen = share * np.count_nonzero(owners == track) / max(covered, 1)
        if seen >= SEEN and inside[1, 1] - inside[0, 1] >= _LEAST_BOX_PX:
            yield inside.ravel().tolist(), track, metres
