"""Textured planar faces, many at a time.

A face has four corners: top left, top right, bottom right, bottom left of its picture as seen from outside.
They lie in one plane and form a convex quadrilateral. Its ``chart`` (4, 3) maps homogeneous picture
coordinates (u, v, 1) in [0, 1]² to homogeneous points, so that projecting it is one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catseye.capture.rendering.textures import Texture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Arrays of N faces.

    Args:
        corners: (N, 4, 3) metres.
        charts: (N, 4, 3).
        normals: (N, 3) outward unit normals.
        textures: N of them.
        two_sided: (N,) whether it is also seen from behind.
    """

    corners: Array
    charts: Array
    normals: Array
    textures: Sequence[Texture]
    two_sided: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.corners)

    def moved(self, frames: Array) -> Faces:
        """Each face carried by its own rigid frame, (N, 4, 4)."""
        turn = frames[:, :3, :3]
        return Faces(
            self.corners @ turn.transpose(0, 2, 1) + frames[:, None, :3, 3],
            frames @ self.charts,
            np.einsum("nij,nj->ni", turn, self.normals),
            self.textures,
            self.two_sided,
        )

    def chosen(self, index: NDArray[np.int64]) -> Faces:
        textures = [self.textures[i] for i in index]
        return Faces(
            self.corners[index], self.charts[index], self.normals[index], textures, self.two_sided[index]
        )


def joined(parts: Sequence[Faces]) -> Faces:
    return Faces(
        np.concatenate([p.corners for p in parts]),
        np.concatenate([p.charts for p in parts]),
        np.concatenate([p.normals for p in parts]),
        [texture for p in parts for texture in p.textures],
        np.concatenate([p.two_sided for p in parts]),
    )


def make_faces(corners: Array, textures: Sequence[Texture], *, two_sided: bool = False) -> Faces:
    """Faces from corners (N, 4, 3)."""
    corners = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    across, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    normals = np.cross(down, across)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Faces(corners, _charts(corners), normals, textures, np.full(len(corners), two_sided))


def _charts(corners: Array) -> Array:
    """The projective map that takes the unit square's corners to the face's, (N, 4, 3).

    With the third corner as p·across + q·down from the first, the corners' homogeneous weights
    (p + q − 1, p, 1, q) make the map linear.
    """
    first, second, third, fourth = corners.transpose(1, 0, 2)
    sides = np.stack([second - first, fourth - first], axis=2)
    reach = (np.linalg.pinv(sides) @ (third - first)[..., None])[..., 0]
    p, q = reach[:, :1], reach[:, 1:]

    def homogeneous(points: Array) -> Array:
        return np.concatenate([points, np.ones((len(points), 1))], axis=1)

    origin = (p + q - 1) * homogeneous(first)
    return np.stack([p * homogeneous(second) - origin, q * homogeneous(fourth) - origin, origin], axis=2)


def block(
    *,
    bottom: tuple[float, float],
    top: tuple[float, float],
    widths: tuple[float, float],
    heights: tuple[float, float],
) -> dict[str, Array]:
    """Corners (4, 3) of the five visible faces of a block whose ends may slant.

    Args:
        bottom, top: rear and front end in z of its lower and its upper rim, metres.
        widths: of the lower and of the upper rim.
        heights: of the lower and of the upper rim above the road.
    """
    (rear0, front0), (rear1, front1) = bottom, top
    w0, w1 = widths[0] / 2, widths[1] / 2
    y0, y1 = -heights[0], -heights[1]
    low = {"rl": (-w0, y0, rear0), "rr": (w0, y0, rear0), "fl": (-w0, y0, front0), "fr": (w0, y0, front0)}
    high = {"rl": (-w1, y1, rear1), "rr": (w1, y1, rear1), "fl": (-w1, y1, front1), "fr": (w1, y1, front1)}
    return {
        "back": np.array([high["rl"], high["rr"], low["rr"], low["rl"]]),
        "front": np.array([high["fr"], high["fl"], low["fl"], low["fr"]]),
        "left": np.array([high["fl"], high["rl"], low["rl"], low["fl"]]),
        "right": np.array([high["rr"], high["fr"], low["fr"], low["rr"]]),
        "top": np.array([high["fl"], high["fr"], high["rr"], high["rl"]]),
    }
