"""Batches for teaching appearance: pairs of frames of one clip, varied, and what is known of their boxes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.geometry import PAD_VALUE, Image
from catseye.pretrain.appearance import Relations, cells_at
from catseye.pretrain.appearance_scenes import Scenes
from catseye.pretrain.detection_head import STRIDE

_AHEAD = 2
_BLURRED = 0.3
_TURNED = 0.5
_BLUR_PX = (0.3, 1.3)
_OFF_CENTRE = 0.12
_LEAST_SIDE = 4.0
_GAMMA, _GAIN, _TINT = 0.15, 0.1, 0.04


class Views(NamedTuple):
    """B views with M boxes in all.

    Args:
        rgb: (B, 3, H, W) uint8.
        pictures: (M,) int64, the view that each box is in.
        cells: (M,) int64, the cell of a map at stride 4 to read it at; none twice in a view.
        boxes: (M, 4) float32 corners x1 y1 x2 y2 in the view's pixels.
        relations: of the boxes.
    """

    rgb: Tensor
    pictures: Tensor
    cells: Tensor
    boxes: Tensor
    relations: Relations


class _View(NamedTuple):
    """A view (h, w, 3) uint8, the boxes in and around it (N, 4), and their tracks (N,)."""

    rgb: Image
    boxes: NDArray[np.float64]
    tracks: NDArray[np.int64]


@dataclass(frozen=True)
class ViewDraw:
    """How batches are drawn.

    Args:
        width, height: of the network.
        pairs: of views a batch.
        zoom: largest factor by which a view is enlarged or shrunk.
        seed: of order and variation.
        crop: width and height of what is taken of a frame; None takes all of it.
        rank, world: which process of how many.
    """

    width: int
    height: int
    pairs: int
    zoom: float
    seed: int
    crop: tuple[int, int] | None = None
    rank: int = 0
    world: int = 1


class ViewSampler:
    """Batch number ``step`` as a function of scenes, options, seed and step alone."""

    def __init__(self, source: Scenes, draw: ViewDraw) -> None:
        self._source, self._draw = source, draw
        tracks = [scene.tracks for scene in source.scenes]
        self._apart = [part.apart() for part in tracks]
        self._first_track = np.cumsum([0, *(part.count for part in tracks)])
        self._first_box = np.cumsum([0, *(len(part.tracks) for part in tracks)])
        _, self._drives = np.unique([scene.drive for scene in source.scenes], return_inverse=True)

    def batches(self, *, first_step: int, steps: int) -> Iterator[Views]:
        """Batches of steps ``first_step`` … ``steps`` − 1, made ahead of their use in a thread."""
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[Views]] = deque()
            for step in range(first_step, steps):
                waiting.append(pool.submit(self.batch, step))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def batch(self, step: int) -> Views:
        draw = self._draw
        rng = np.random.default_rng([draw.seed, step, draw.rank])
        sights = [sight for _ in range(draw.pairs) for sight in self._draw_pair(rng)]
        pictures = self._source.read([(scene, frame) for scene, _, frame in sights])
        # Both views of a pair have their hues turned alike, so that it learns of more paints than it sees.
        hues = np.repeat([_turned_hues(rng) for _ in range(draw.pairs)], 2, axis=0)
        views = [
            self._view(picture, *sight, turned, rng)
            for picture, sight, turned in zip(pictures, sights, hues, strict=True)
        ]
        kept = [_readable(view, rng) for view in views]
        scenes = np.repeat([scene for scene, _, _ in sights], [len(rows) for rows, _ in kept])
        tracks = np.concatenate([view.tracks[rows] for view, (rows, _) in zip(views, kept, strict=True)])
        return Views(
            rgb=torch.from_numpy(np.stack([view.rgb for view in views])).permute(0, 3, 1, 2),
            pictures=torch.repeat_interleave(
                torch.arange(len(views)), torch.tensor([len(rows) for rows, _ in kept])
            ),
            cells=torch.cat([cells for _, cells in kept]),
            boxes=torch.cat(
                [
                    torch.from_numpy(view.boxes[rows]).float()
                    for view, (rows, _) in zip(views, kept, strict=True)
                ]
            ),
            relations=self.relations(scenes, tracks),
        )

    def relations(self, scenes: NDArray[np.int64], tracks: NDArray[np.integer]) -> Relations:
        """What is known of boxes (M,) of these scenes and tracks."""
        numbers = self._first_track[scenes] + tracks
        same = numbers[:, None] == numbers
        np.fill_diagonal(same, False)
        apart = self._drives[scenes][:, None] != self._drives[scenes]
        for scene in np.unique(scenes):
            rows = np.flatnonzero(scenes == scene)
            apart[np.ix_(rows, rows)] = self._apart[scene][np.ix_(tracks[rows], tracks[rows])]
        return Relations(torch.from_numpy(same), torch.from_numpy(apart))

    def _draw_pair(self, rng: Generator) -> list[tuple[int, int, int]]:
        """A box, all as likely, and another of its track, or the same where there is none.

        Each as scene, track and frame.
        """
        number = int(rng.integers(self._first_box[-1]))
        scene = int(np.searchsorted(self._first_box, number, side="right")) - 1
        row, tracks = number - int(self._first_box[scene]), self._source.scenes[scene].tracks
        others = np.flatnonzero(tracks.tracks == tracks.tracks[row])
        others = others[others != row] if len(others) > 1 else others
        track = int(tracks.tracks[row])
        return [(scene, track, int(tracks.frames[of])) for of in (row, rng.choice(others))]

    def _view(
        self, picture: Image, scene: int, track: int, frame: int, hues: NDArray[np.float64], rng: Generator
    ) -> _View:
        """A window around a track's box, zoomed and maybe mirrored, mildly recoloured and maybe blurred."""
        draw, tracks = self._draw, self._source.scenes[scene].tracks
        here = tracks.frames == frame
        boxes, numbers = tracks.boxes[here], tracks.tracks[here]
        width, height = draw.crop or (draw.width, draw.height)
        scale = min(draw.width / picture.shape[1], draw.height / picture.shape[0])
        scale *= draw.zoom ** rng.uniform(-1, 1)
        moving = _window(picture.shape[1::-1], (width, height), boxes[numbers == track][0], scale, rng)
        rgb = cv2.warpAffine(
            picture, moving, (width, height), flags=cv2.INTER_LINEAR, borderValue=(PAD_VALUE,) * 3
        )
        if rng.random() < _BLURRED:
            rgb = cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(*_BLUR_PX)))
        corners = boxes.reshape(-1, 2) @ moving[:, :2].T + moving[:, 2]
        corners = corners.reshape(-1, 2, 2)
        return _View(
            _recolour(np.asarray(cv2.transform(rgb, hues), np.uint8), rng),
            np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
            numbers,
        )


def _window(
    source: Sequence[int],
    size: Sequence[int],
    box: NDArray[np.float32],
    scale: float,
    rng: Generator,
) -> NDArray[np.float64]:
    """The map (2, 3) from pixels of a picture to those of a view with the middle of ``box`` in it.

    Args:
        source, size: width and height of the picture and of the view.
        scale: view pixels a picture's pixel.
    """
    mirrored = rng.random() < 0.5
    moving = np.zeros((2, 3))
    for axis in range(2):
        middle = scale * float(box[axis] + box[axis + 2]) / 2
        # As far as can be, the view lies within the picture.
        first, last = sorted((0.0, scale * source[axis] - size[axis]))
        start = float(np.clip(middle - size[axis] * rng.uniform(0.1, 0.9), first, last))
        start = min(max(start, middle - 0.95 * size[axis]), middle - 0.05 * size[axis])
        moving[axis, axis], moving[axis, 2] = scale, -start
    if mirrored:
        moving[0] = -moving[0]
        moving[0, 2] += size[0]
    return moving


def _turned_hues(rng: Generator) -> NDArray[np.float64]:
    """A matrix (3, 3) that turns colours about the grey axis by any angle, or for half of all leaves them."""
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < _TURNED else 0.0
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turned: NDArray[np.float64] = (
        np.cos(angle) * np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * np.full((3, 3), 1 / 3)
    )
    return turned


def _recolour(rgb: Image, rng: Generator) -> Image:
    """Vary exposure and tint, no more than they vary within a clip: colour is much of what tells vehicles."""
    gamma = np.exp(rng.uniform(-_GAMMA, _GAMMA))
    gains = (1 + rng.uniform(-_GAIN, _GAIN)) * (1 + rng.uniform(-_TINT, _TINT, 3))
    levels = np.arange(256) / 255
    curves = np.clip(255 * levels[:, None] ** gamma * gains, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, curves[:, None]), np.uint8)


def _readable(view: _View, rng: Generator) -> tuple[NDArray[np.int64], Tensor]:
    """Rows of a view's boxes, and the cell to read each at, near its middle; no two of one cell.

    Left out are those too small to be seen, and those whose middle lies outside.
    """
    sides = view.boxes[:, 2:] - view.boxes[:, :2]
    middles = (view.boxes[:, :2] + view.boxes[:, 2:]) / 2
    middles += rng.uniform(-_OFF_CENTRE, _OFF_CENTRE, middles.shape) * sides
    size = np.array(view.rgb.shape[1::-1])
    inside = ((middles >= 0) & (middles < size)).all(axis=1) & (sides.min(axis=1) >= _LEAST_SIDE)
    rows = np.flatnonzero(inside)
    height, width = (side // STRIDE for side in view.rgb.shape[:2])
    cells = cells_at(torch.from_numpy(middles[rows]), height=height, width=width)
    _, place, times = np.unique(cells.numpy(), return_inverse=True, return_counts=True)
    alone = times[place] == 1
    return rows[alone], cells[torch.from_numpy(alone)]
