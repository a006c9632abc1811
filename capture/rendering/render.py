"""The rasteriser: textured planes with a depth buffer, supersampled, with exact inverse depth.

The inverse depth of a plane is affine over the picture, so every surface, the ground too, is three numbers,
and depth anywhere is exact without interpolation. Coordinates here are pixels of the supersampled picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.rendering.camera import Camera, inverse
from catseye.capture.rendering.faces import Faces
from catseye.capture.rendering.ground import PERIOD_M, Ground
from catseye.capture.rendering.road import Road
from catseye.capture.rendering.sky import Sky
from catseye.capture.rendering.textures import Field, Texture, soft_shadow

Array = NDArray[np.floating[Any]]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]

SUPERSAMPLE = 2
NEAR_M = 0.3
SKY_ID, GROUND_ID = 0, 1

_GROUND_FAR_M = 400.0
_EDGE_ON = 1e-9
_COARSE = 8
_THINNEST_PX, _SHORTEST_PX = 0.3, 1.2
_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Picture:
    """What the rasteriser leaves, all at SUPERSAMPLE times the frame's size.

    Args:
        rgb: (h, w, 3) uint8 colours before light and sensor.
        glow: (h, w, 3) uint8 light of lamps, or None.
        ids: (h, w) int32: 0 sky, 1 ground, then faces.
        planes: (F, 3) coefficients of inverse depth over (column, row, 1) in pixels, a row an id.
        owners: (F,) int32: the owner of each face, 0 for none.
        nearness: (h, w) float32 inverse depth at pixel centres; 0 for sky.
        silhouettes: by owner: (left, top, mask) of all it covers in the picture, hidden or not.
    """

    rgb: Image
    glow: Image | None
    ids: Ids
    planes: Array
    owners: Ids
    nearness: Field
    silhouettes: dict[int, tuple[int, int, Mask]]


@dataclass(frozen=True)
class Scene:
    """What there is to see in one frame.

    Args:
        ground_gain: its light.
        faces: in world coordinates; gains (N,) of their light; owners (N,) track ids, 0 for scenery.
        shadows: charts (M, 4, 3) of shadow squares lying on the road, world frame.
        lamps: whether glowing textures glow.
        near: the ego's place along the road, metres.
    """

    road: Road
    ground: Ground
    ground_gain: float
    sky: Sky
    faces: Faces
    gains: Array
    owners: Ids
    shadows: Array
    lamps: bool
    near: float


def render(scene: Scene, camera: Camera, camera_to_world: Array) -> Picture:
    canvas = _Canvas(camera, camera_to_world)
    canvas.draw_backdrop(scene)
    canvas.draw_shadows(scene.shadows)
    canvas.draw_faces(scene)
    return Picture(
        canvas.rgb,
        canvas.draw_glow() if scene.lamps else None,
        canvas.ids,
        np.array(canvas.planes),
        np.array(canvas.owners, np.int32),
        canvas.nearness,
        canvas.silhouettes,
    )


@dataclass(frozen=True)
class _Batch:
    """Faces to draw: arrays over them.

    Args:
        face: which of the scene's.
        box: (N, 4) pixels they may touch.
        level: (N, 2) texture levels.
        back: (N, 3, 3) from the picture to the unit square; warp: from pixels of the box to texels.
        plane: (N, 3) inverse depth.
        nearest: greatest inverse depth.
    """

    face: NDArray[np.int64]
    box: NDArray[np.int64]
    level: NDArray[np.int64]
    back: Array
    plane: Array
    warp: Array
    nearest: Array


class _Canvas:
    """The buffers of one picture while it is drawn."""

    def __init__(self, camera: Camera, camera_to_world: Array) -> None:
        self.width, self.height = camera.width * SUPERSAMPLE, camera.height * SUPERSAMPLE
        self.K = np.diag([SUPERSAMPLE, SUPERSAMPLE, 1.0]) @ camera.K
        self.camera_to_world = camera_to_world
        self.view = inverse(camera_to_world)[:3]
        self.rgb: Image = np.zeros((self.height, self.width, 3), np.uint8)
        self.nearness: Field = np.zeros((self.height, self.width), np.float32)
        self.ids: Ids = np.zeros((self.height, self.width), np.int32)
        self.planes: list[Array] = [np.zeros(3), self._ground_plane()]
        self.owners: list[int] = [0, 0]
        self.silhouettes: dict[int, tuple[int, int, Mask]] = {}
        self._lamps: list[tuple[int, Texture, Array, NDArray[np.int64]]] = []
        self._columns = np.arange(self.width) + 0.5
        self._rows = np.arange(self.height) + 0.5

    def _ground_plane(self) -> Array:
        """Inverse depth of y = 0: the ray's downward share over the camera's height."""
        downward = self.camera_to_world[1, :3] @ np.linalg.inv(self.K)
        height = -self.camera_to_world[1, 3]
        return np.asarray(downward / height)

    def draw_backdrop(self, scene: Scene) -> None:
        nearness = self._nearness(self.planes[GROUND_ID], 0, 0, self.width, self.height)
        below = nearness > 1 / _GROUND_FAR_M
        self._draw_sky(scene.sky, int(np.count_nonzero(~below.all(axis=1))))
        first = self.height - int(np.count_nonzero(below.any(axis=1)))
        if self.height - first < 2:
            return
        s, d = self._road_coordinates(scene, nearness[first:], first)
        seen = below[first:].view(np.uint8)
        colours = cv2.convertScaleAbs(scene.ground.sample(s, d), alpha=scene.ground_gain)
        cv2.copyTo(colours, seen, self.rgb[first:])
        cv2.copyTo(nearness[first:], seen, self.nearness[first:])
        self.ids[first:] = seen * GROUND_ID

    def _nearness(self, plane: Array, left: int, top: int, right: int, bottom: int) -> Field:
        """Inverse depth of a plane at the pixel centres of a box."""
        across = (plane[0] * self._columns[left:right]).astype(np.float32)
        down = (plane[1] * self._rows[top:bottom] + plane[2]).astype(np.float32)
        return np.asarray(down[:, None] + across[None])

    def _rays(self, columns: Array, rows: Array) -> Array:
        """World directions (len(rows), len(columns), 3) through pixels, with camera z = 1."""
        grid = np.stack(np.broadcast_arrays(columns[None], rows[:, None], np.ones((1, 1))), axis=-1)
        return np.asarray(grid @ (self.camera_to_world[:3, :3] @ np.linalg.inv(self.K)).T)

    def _draw_sky(self, sky: Sky, rows: int) -> None:
        if rows == 0:
            return
        columns = _coarse(self.width)
        lines = _coarse(rows)
        azimuth, rise = sky.coordinates(self._rays(columns, lines))
        size = (len(columns) * _COARSE, len(lines) * _COARSE)
        x, y = (cv2.resize(m, size)[_COARSE:, _COARSE:][:rows, : self.width] for m in (azimuth, rise))
        self.rgb[:rows] = cv2.remap(sky.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _road_coordinates(self, scene: Scene, nearness: Field, first: int) -> tuple[Field, Field]:
        """Road coordinates of ground pixels; times inverse depth they are nearly linear along a row."""
        columns = _coarse(self.width)
        rays = self._rays(columns, self._rows[first:])
        scale = -self.camera_to_world[1, 3] / np.maximum(rays[..., 1], 1e-6)
        scale = np.minimum(scale, _GROUND_FAR_M)
        places = self.camera_to_world[:3, 3] + rays * scale[..., None]
        s, d = scene.road.locate(places[..., 0], places[..., 2], near=scene.near + scale)
        offset = np.floor(scene.near / PERIOD_M) * PERIOD_M
        size = (len(columns) * _COARSE, len(rays))
        depth = 1 / np.maximum(nearness, np.float32(1 / _GROUND_FAR_M))

        def spread(values: Array) -> Field:
            wide = cv2.resize((values / scale).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            return np.asarray(wide[:, _COARSE : _COARSE + self.width] * depth)

        return spread(s - scene.near) + np.float32(scene.near - offset), spread(d)

    def draw_shadows(self, charts: Array) -> None:
        """Darken the ground under what stands on it."""
        if len(charts) == 0:
            return
        picture = soft_shadow()
        square = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1.0]])
        corners = (self.view @ charts @ square / (charts[:, 3:] @ square)).transpose(0, 2, 1)
        boxes, _ = self._bounds(corners)
        shown = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        backs = np.linalg.inv(self.K @ (self.view @ charts[shown]))
        size = np.broadcast_to(np.array(picture.shape[1::-1]), (len(shown), 2))
        for warp, (left, top, right, bottom) in zip(
            _warps(backs, size, boxes[shown]), boxes[shown], strict=True
        ):
            dark = cv2.warpPerspective(picture, warp, (right - left, bottom - top), flags=_FLAGS)
            region = self.rgb[top:bottom, left:right]
            cv2.multiply(region, cv2.merge([255 - dark] * 3), region, scale=1 / 255)

    def _bounds(self, corners: Array) -> tuple[NDArray[np.int64], Array]:
        """The pixels (left, top, right, bottom) that polygons (N, n, 3) in the camera frame may touch, and
        their corners in the picture, (N, n, 2), which hold only for those wholly before the near plane."""
        limit = np.array([self.width, self.height])
        image = corners @ self.K.T
        with np.errstate(divide="ignore", invalid="ignore"):
            points = image[..., :2] / image[..., 2:]
        low, high = points.min(axis=1), points.max(axis=1)
        for index in np.flatnonzero((corners[..., 2] < NEAR_M).any(axis=1)):
            polygon = _clip_near(corners[index]) @ self.K.T
            if len(polygon) == 0:
                low[index] = high[index] = 0
                continue
            low[index] = (polygon[:, :2] / polygon[:, 2:]).min(axis=0)
            high[index] = (polygon[:, :2] / polygon[:, 2:]).max(axis=0)
        low, high = np.clip(np.floor(low), 0, limit), np.clip(np.ceil(high), 0, limit)
        return np.hstack([low, high]).astype(np.int64), points

    def _choose(self, scene: Scene) -> _Batch:
        """The faces that may be seen, nearest first."""
        faces = scene.faces
        eye = self.camera_to_world[:3, 3]
        fronts = np.einsum("ni,ni->n", faces.normals, faces.corners[:, 0] - eye) < 0
        corners = faces.corners @ self.view[:, :3].T + self.view[:, 3]
        index = np.flatnonzero((fronts | faces.two_sided) & (corners[..., 2] > NEAR_M).any(axis=1))
        corners = corners[index]
        boxes, image = self._bounds(corners)
        sizes = np.array([faces.textures[i].size for i in index.tolist()]).reshape(-1, 2)
        levels, visible = _levels(image, np.asarray((corners[..., 2] < NEAR_M).any(axis=1)), sizes)
        visible &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        maps = self.K @ (self.view @ faces.charts[index])
        visible &= np.abs(np.linalg.det(maps)) > _EDGE_ON
        depth = np.maximum(corners[..., 2], NEAR_M)
        order = np.flatnonzero(visible)[np.argsort(depth.mean(axis=1)[visible], kind="stable")]
        backs: Array = np.linalg.inv(maps[order])
        return _Batch(
            face=index[order],
            box=boxes[order],
            level=levels[order],
            back=backs,
            plane=(faces.charts[index[order], 3:, :] @ backs)[:, 0],
            warp=_warps(backs, np.maximum(sizes >> levels, 1)[order], boxes[order]),
            nearest=1 / depth.min(axis=1)[order],
        )

    def draw_faces(self, scene: Scene) -> None:
        batch = self._choose(scene)
        textures = [scene.faces.textures[face] for face in batch.face.tolist()]
        gains = scene.gains[batch.face].tolist()
        self.planes.extend(batch.plane)
        self.owners.extend(scene.owners[batch.face].tolist())
        areas: dict[int, list[tuple[int, int, Mask]]] = {}
        for number, texture in enumerate(textures):
            identity = number + GROUND_ID + 1
            left, top, right, bottom = box = batch.box[number].tolist()
            owner = self.owners[identity]
            if not owner and self.nearness[top:bottom, left:right].min() >= batch.nearest[number]:
                continue
            rgb, alpha = texture.level(*batch.level[number].tolist())
            plane, warp = batch.plane[number], batch.warp[number]
            crosses = batch.nearest[number] >= 1 / NEAR_M
            cover = self._draw_face(identity, box, plane, warp, rgb, alpha, gains[number], crosses=crosses)
            if owner:
                areas.setdefault(owner, []).append((left, top, cover))
            if texture.glow is not None:
                self._lamps.append((identity, texture, batch.back[number], batch.box[number]))
        self.silhouettes = {owner: _union(parts) for owner, parts in areas.items()}

    def _draw_face(
        self,
        number: int,
        box: list[int],
        plane: Array,
        warp: Array,
        rgb: Image,
        alpha: Image,
        gain: float,
        *,
        crosses: bool,
    ) -> Mask:
        """Draw one face where it is nearest; gives where it is at all, (h, w) of its box."""
        left, top, right, bottom = box
        size = (right - left, bottom - top)
        nearness = self._nearness(plane, left, top, right, bottom)
        cover = cv2.warpPerspective(alpha, warp, size, flags=_FLAGS) > 127
        if crosses:
            cover &= (nearness > 0) & (nearness < 1 / NEAR_M)
        buffer = self.nearness[top:bottom, left:right]
        nearest = cover & (nearness > buffer)
        if nearest.any():
            mask = nearest.view(np.uint8)
            colour = cv2.warpPerspective(rgb, warp, size, flags=_FLAGS, borderMode=cv2.BORDER_REPLICATE)
            cv2.copyTo(cv2.convertScaleAbs(colour, alpha=gain), mask, self.rgb[top:bottom, left:right])
            cv2.copyTo(nearness, mask, buffer)
            self.ids[top:bottom, left:right][nearest] = number
        return cover

    def draw_glow(self) -> Image:
        """The light of lamps that nothing hides, (h, w, 3) uint8."""
        glow = np.zeros_like(self.rgb)
        for number, texture, back, (left, top, right, bottom) in self._lamps:
            seen = self.ids[top:bottom, left:right] == number
            if texture.glow is None or not seen.any():
                continue
            warp = _warps(back[None], np.array([texture.size]), np.array([[left, top, right, bottom]]))[0]
            shine = cv2.warpPerspective(texture.glow, warp, (right - left, bottom - top), flags=_FLAGS)
            cv2.copyTo(shine, seen.view(np.uint8), glow[top:bottom, left:right])
        return glow


def _coarse(length: int) -> Array:
    """Centres of cells of ``_COARSE`` pixels, one more on either side than the length takes."""
    return (np.arange(-1, -(-length // _COARSE) + 1) + 0.5) * _COARSE


def _warps(backs: Array, sizes: NDArray[np.int64], boxes: NDArray[np.int64]) -> Array:
    """From pixels of boxes, counted at their centres as OpenCV does, to texels counted likewise: (N, 3, 3).

    Args:
        backs: (N, 3, 3) from the picture to the unit square.
        sizes: (N, 2) texture width and height.
        boxes: (N, 4).
    """
    to_texels, from_box = np.tile(np.eye(3), (2, len(backs), 1, 1))
    to_texels[:, 0, 0], to_texels[:, 1, 1] = sizes.T
    to_texels[:, :2, 2] = -0.5
    from_box[:, :2, 2] = boxes[:, :2] + 0.5
    return np.asarray(to_texels @ backs @ from_box)


def _clip_near(corners: Array) -> Array:
    """The part of a convex polygon (n, 3) that lies in front of the near plane."""
    depth = corners[:, 2]
    if (depth >= NEAR_M).all():
        return corners
    kept: list[Array] = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if here[2] >= NEAR_M:
            kept.append(here)
        if (here[2] >= NEAR_M) != (there[2] >= NEAR_M):
            kept.append(here + (there - here) * ((NEAR_M - here[2]) / (there[2] - here[2])))
    return np.array(kept).reshape(-1, 3)


def _levels(points: Array, crosses: Mask, sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Mask]:
    """How often to halve the textures' width and height (N, 2) so that a texel is about a pixel, and which
    faces (N,) are large enough to be seen.

    Args:
        points: (N, 4, 2) corners in the picture.
        crosses: (N,) which reach behind the near plane: those keep their full texture.
        sizes: (N, 2).
    """
    sides = np.linalg.norm(np.roll(points, -1, axis=1) - points, axis=2)
    lengths = np.sqrt(sides[:, :2] * sides[:, 2:])
    lengths[crosses] = sizes[crosses]
    visible = (lengths.min(axis=1) > _THINNEST_PX) & (lengths.max(axis=1) > _SHORTEST_PX)
    levels = np.rint(np.log2(sizes / np.maximum(lengths, 0.1)))
    return np.clip(levels, 0, 9).astype(np.int64), visible


def _union(parts: list[tuple[int, int, Mask]]) -> tuple[int, int, Mask]:
    left, top = min(p[0] for p in parts), min(p[1] for p in parts)
    right = max(p[0] + p[2].shape[1] for p in parts)
    bottom = max(p[1] + p[2].shape[0] for p in parts)
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for x, y, mask in parts:
        whole[y - top : y - top + mask.shape[0], x - left : x - left + mask.shape[1]] |= mask
    return left, top, whole
