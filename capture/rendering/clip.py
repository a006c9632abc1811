"""One rendered clip: its world drawn from the seed, then frame by frame the picture and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.rendering.camera import Camera, draw_camera, inverse, pose
from catseye.capture.rendering.faces import Faces, joined
from catseye.capture.rendering.ground import Ground
from catseye.capture.rendering.look import PALETTES, Appearance, Light, draw_layout, draw_light
from catseye.capture.rendering.motion import Motion, draw_traffic, draw_wishes, drive
from catseye.capture.rendering.paving import pave
from catseye.capture.rendering.render import NEAR_M, SUPERSAMPLE, Picture, Scene, render
from catseye.capture.rendering.road import Road, draw_road
from catseye.capture.rendering.scenery import Scenery, build_scenery
from catseye.capture.rendering.sensor import Sensor
from catseye.capture.rendering.sky import Sky, draw_sky
from catseye.capture.rendering.truth import Truth
from catseye.capture.rendering.vehicles import Vehicle, draw_vehicle

Array = NDArray[np.float64]

_STOP_ONE_IN = 6
_PACE_MPS = {"city": (4.5, 12.0), "country": (6.0, 15.0), "highway": (8.0, 17.0)}
_BEND = {"city": (0.3, 0.9), "country": (0.5, 1.0), "highway": (0.2, 0.6)}
_VIEW_M, _TRAFFIC_VIEW_M = 130.0, 110.0
_LEAST_BOX_PX = 4.0
_UP = np.array([0.0, -1.0, 0.0])
_FINE_FROM_PX = 240


@dataclass(frozen=True)
class ClipSpec:
    """What determines a clip: its pixels and its truth follow from these values alone."""

    seed: int
    number: int
    frames: int
    fps: float
    width: int
    height: int
    appearance: Appearance

    @property
    def name(self) -> str:
        return f"road-s{self.seed}-{self.number:03d}"

    def generator(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, purpose, self.appearance == "heldout"])


@dataclass(frozen=True)
class World:
    """All of a clip but the pictures. ``poses`` are camera-to-world, (T, 4, 4)."""

    camera: Camera
    light: Light
    road: Road
    ground: Ground
    sky: Sky
    scenery: Scenery
    scenery_gains: Array
    vehicles: tuple[Vehicle, ...]
    directions: Array
    motion: Motion
    poses: Array


def build_world(spec: ClipSpec) -> World:
    palette = PALETTES[spec.appearance]
    camera = draw_camera(spec.generator(0), width=spec.width, height=spec.height)
    rng = spec.generator(1)
    layout, light = draw_layout(rng), draw_light(rng)
    dt = 1 / spec.fps
    wishes = draw_wishes(
        rng, frames=spec.frames, dt=dt, stops=_stops(spec.seed, spec.number), pace=_PACE_MPS[layout.setting]
    )
    reach = float(wishes.sum() * dt) + 20
    road = draw_road(
        rng, start=-80, end=reach + 2 * _VIEW_M + 200, bend=float(rng.uniform(*_BEND[layout.setting]))
    )
    traffic = draw_traffic(rng, layout, ego_wish=wishes, reach=reach)
    making = spec.generator(2)
    vehicles = tuple(draw_vehicle(making, palette, int(category)) for category in traffic.category)
    traffic = replace(traffic, length=np.array([vehicle.length for vehicle in vehicles]))
    motion = drive(traffic, wishes, dt=dt)
    building = spec.generator(3)
    scenery = build_scenery(building, road, layout, palette, first=-12.0, last=reach + _VIEW_M)
    texture = pave(building, layout, palette, light, fine=spec.width >= _FINE_FROM_PX)
    return World(
        camera=camera,
        light=light,
        road=road,
        ground=Ground(texture),
        sky=draw_sky(building, light),
        scenery=scenery,
        scenery_gains=light.shade(scenery.faces.normals),
        vehicles=vehicles,
        directions=traffic.direction,
        motion=motion,
        poses=_camera_poses(rng, road, camera, motion, dt=dt),
    )


def _stops(seed: int, number: int) -> bool:
    """Whether the ego stands for some seconds: one clip in each six."""
    group, place = divmod(number, _STOP_ONE_IN)
    return int(np.random.default_rng([seed, group, 99]).integers(_STOP_ONE_IN)) == place


def _camera_poses(
    rng: np.random.Generator, road: Road, camera: Camera, motion: Motion, *, dt: float
) -> Array:
    """The camera rides with the ego and nods on its springs, the less the slower it goes."""
    s, d, yaw = motion.s[:, 0], motion.d[:, 0], motion.yaw[:, 0]
    time = np.arange(len(s)) * dt
    speed = np.gradient(s, dt) if len(s) > 1 else np.zeros(1)
    liveliness = np.clip(speed / 8, 0, 1)

    def sway(amount: float) -> Array:
        waves = [
            np.sin(2 * np.pi * f * time + rng.uniform(0, 6.3)) for f in rng.uniform((0.5, 1.2), (1.1, 2.2))
        ]
        return np.asarray(amount * liveliness * (waves[0] + 0.6 * waves[1]))

    pitch, roll, lift = sway(0.0035), sway(0.002), sway(0.012)
    pitch += camera.pitch_rad - 0.002 * np.clip(np.gradient(speed, dt) if len(s) > 1 else speed, -4, 4)
    x, z, heading = road.place(s, d)
    return np.stack(
        [
            pose(
                np.array([x[k], -camera.mount_m - lift[k], z[k]]),
                heading=heading[k] + yaw[k],
                pitch=pitch[k],
                roll=roll[k],
            )
            for k in range(len(s))
        ]
    )


@dataclass(frozen=True)
class _Row:
    """One vehicle in one frame."""

    frame: int
    track: int
    category: int
    box: tuple[float, float, float, float]
    visibility: float
    distance: float


class Clip:
    """Renders the frames of a clip in order, and gathers its truth on the way."""

    def __init__(self, spec: ClipSpec) -> None:
        self.spec = spec
        self.world = build_world(spec)
        self._sensor = Sensor(spec.generator(4), self.world.light, self.world.camera)
        self._noise = spec.generator(5)
        self._rows: list[_Row] = []
        self._depth: list[NDArray[np.float16]] = []

    def frames(self) -> Iterator[Image]:
        """Frames (H, W, 3) uint8 RGB."""
        for frame in range(self.spec.frames):
            frames = self._vehicle_frames(frame)
            picture = render(self._scene(frame, frames), self.world.camera, self.world.poses[frame])
            self._rows.extend(self._boxes(frame, picture, frames))
            self._depth.append(_quarter_depth(picture))
            yield self._sensor.expose(picture, time_s=frame / self.spec.fps, rng=self._noise)

    def truth(self, pts: NDArray[np.int64]) -> Truth:
        """The truth of the frames rendered so far, which lie at ``pts``."""
        rows, count = self._rows, len(self._depth)
        places = self.world.poses[:count, :3, 3]
        speed = np.linalg.norm(np.gradient(places, 1 / self.spec.fps, axis=0), axis=1)
        return Truth(
            pts=pts,
            boxes=np.array([row.box for row in rows], np.float32).reshape(-1, 4),
            frame_index=np.array([row.frame for row in rows], np.int32),
            track_ids=np.array([row.track for row in rows], np.int32),
            classes=np.array([row.category for row in rows], np.int32),
            visibility=np.array([row.visibility for row in rows], np.float32),
            distances_m=np.array([row.distance for row in rows], np.float32),
            depth=np.stack(self._depth),
            poses=self.world.poses[:count],
            speed_mps=speed.astype(np.float32),
            K=self.world.camera.K,
        )

    def _vehicle_frames(self, frame: int) -> dict[int, Array]:
        """Vehicle-to-world frames (4, 4) of those near enough to be seen, by track id."""
        world = self.world
        s, d, yaw = world.motion.s[frame], world.motion.d[frame], world.motion.yaw[frame]
        near = (s > s[0] - 12) & (s < s[0] + _TRAFFIC_VIEW_M)
        near[0] = False
        x, z, heading = world.road.place(s, d)
        turned = heading + yaw + np.where(world.directions < 0, np.pi, 0.0)
        return {
            int(track): pose(np.array([x[track], 0.0, z[track]]), heading=float(turned[track]))
            for track in np.flatnonzero(near)
        }

    def _scene(self, frame: int, frames: dict[int, Array]) -> Scene:
        world = self.world
        near = float(world.motion.s[frame, 0])
        index = world.scenery.between(near - 12, near + _VIEW_M)
        parts: list[Faces] = [world.scenery.faces.chosen(index)]
        gains, owners = [world.scenery_gains[index]], [np.zeros(len(index), np.int32)]
        for track, placed in frames.items():
            faces = world.vehicles[track].faces
            faces = faces.moved(np.broadcast_to(placed, (len(faces), 4, 4)))
            parts.append(faces)
            gains.append(world.light.shade(faces.normals))
            owners.append(np.full(len(faces), track, np.int32))
        shadows = [placed @ _shadow_chart(world.vehicles[track]) for track, placed in frames.items()]
        return Scene(
            road=world.road,
            ground=world.ground,
            ground_gain=float(world.light.shade(_UP[None])[0]),
            sky=world.sky,
            faces=joined(parts),
            gains=np.concatenate(gains),
            owners=np.concatenate(owners),
            shadows=np.array(shadows).reshape(-1, 4, 3),
            lamps=world.light.lamps,
            near=near,
        )

    def _boxes(self, frame: int, picture: Picture, frames: dict[int, Array]) -> Iterator[_Row]:
        pixels = np.bincount(picture.ids.ravel(), minlength=len(picture.owners))
        seen = np.bincount(picture.owners, weights=pixels, minlength=len(self.world.vehicles))
        view = inverse(self.world.poses[frame])
        for track in sorted(picture.silhouettes):
            left, top, mask = picture.silhouettes[track]
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows) == 0:
                continue
            x0, x1 = (float(left + columns[i] + k) / SUPERSAMPLE for i, k in ((0, 0), (-1, 1)))
            y0, y1 = (float(top + rows[i] + k) / SUPERSAMPLE for i, k in ((0, 0), (-1, 1)))
            if y1 - y0 < _LEAST_BOX_PX:
                continue
            corners = self.world.vehicles[track].faces.corners.reshape(-1, 3)
            inside = view @ frames[track] @ np.column_stack([corners, np.ones(len(corners))]).T
            depth = np.maximum(inside[2], NEAR_M)
            whole = (inside[:2] / depth) * self.world.camera.focal
            area = float(np.prod(whole.max(axis=1) - whole.min(axis=1)))
            share = min(1.0, (x1 - x0) * (y1 - y0) / max(area, 1e-6))
            yield _Row(
                frame=frame,
                track=track,
                category=self.world.vehicles[track].category,
                box=(x0, y0, x1, y1),
                visibility=float(seen[track])
                / float(mask.sum())
                * (share if _cut(self.spec, x0, y0, x1, y1) else 1),
                distance=float(depth.min()),
            )


def _cut(spec: ClipSpec, x0: float, y0: float, x1: float, y1: float) -> bool:
    return x0 <= 0 or y0 <= 0 or x1 >= spec.width or y1 >= spec.height


def _shadow_chart(vehicle: Vehicle) -> Array:
    """The square on the road, in the vehicle's frame, that the shadow's picture covers: (4, 3)."""
    wide, long = vehicle.width * 1.5, vehicle.length * 1.32
    return np.array([[wide, 0, -wide / 2], [0, 0, 0], [0, -long, long / 2], [0, 0, 1.0]])


def _quarter_depth(picture: Picture) -> NDArray[np.float16]:
    """Camera z (H // 4, W // 4) at the middle of each 4×4 block of the frame's pixels."""
    step = 4 * SUPERSAMPLE
    height, width = (n // step for n in picture.ids.shape)
    rows, columns = (np.arange(n) * step + step // 2 for n in (height, width))
    planes = picture.planes[picture.ids[np.ix_(rows, columns)]]
    nearness = planes[..., 0] * columns[None] + planes[..., 1] * rows[:, None] + planes[..., 2]
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(nearness > 0, 1 / np.maximum(nearness, 0), np.inf).astype(np.float16)
