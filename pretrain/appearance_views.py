"""Batches for teaching appearance: pairs of frames of one clip, varied, and what is known of their boxes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.geometry import Image
from catseye.pretrain.appearance import Relations, cells_at
from catseye.pretrain.appearance_scenes import Scenes
from catseye.pretrain.augment import Still, vary
from catseye.pretrain.detection_head import STRIDE

_AHEAD = 2
_BLURRED = 0.3
_BLUR_PX = (0.3, 1.3)
_OFF_CENTRE = 0.12


class Views(NamedTuple):
    """B views with M boxes in all.

    Args:
        rgb: (B, 3, H, W) uint8.
        pictures: (M,) int64, the view that each box is in.
        cells: (M,) int64, the cell of a map at stride 4 to read it at; none twice in a view.
        relations: of the boxes.
    """

    rgb: Tensor
    pictures: Tensor
    cells: Tensor
    relations: Relations


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
        self._first = np.cumsum([0, *(part.count for part in tracks)])
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
        wanted = [place for _ in range(draw.pairs) for place in self._draw_pair(rng)]
        pictures = self._source.read(wanted)
        views = [self._view(picture, *place, rng) for picture, place in zip(pictures, wanted, strict=True)]
        kept = [_readable(view, rng) for view in views]
        scenes = np.repeat([scene for scene, _ in wanted], [len(rows) for rows, _ in kept])
        tracks = np.concatenate([view.classes[rows] for view, (rows, _) in zip(views, kept, strict=True)])
        return Views(
            rgb=torch.from_numpy(np.stack([view.rgb for view in views])).permute(0, 3, 1, 2),
            pictures=torch.repeat_interleave(
                torch.arange(len(views)), torch.tensor([len(rows) for rows, _ in kept])
            ),
            cells=torch.cat([cells for _, cells in kept]),
            relations=self.relations(scenes, tracks),
        )

    def relations(self, scenes: NDArray[np.int64], tracks: NDArray[np.integer]) -> Relations:
        """What is known of boxes (M,) of these scenes and tracks."""
        numbers = self._first[scenes] + tracks
        same = numbers[:, None] == numbers
        np.fill_diagonal(same, False)
        apart = self._drives[scenes][:, None] != self._drives[scenes]
        for scene in np.unique(scenes):
            rows = np.flatnonzero(scenes == scene)
            apart[np.ix_(rows, rows)] = self._apart[scene][np.ix_(tracks[rows], tracks[rows])]
        return Relations(torch.from_numpy(same), torch.from_numpy(apart))

    def _draw_pair(self, rng: Generator) -> list[tuple[int, int]]:
        """Two frames of one track, or one of them twice where it has no other; all tracks are as likely."""
        number = int(rng.integers(self._first[-1]))
        scene = int(np.searchsorted(self._first, number, side="right")) - 1
        tracks = self._source.scenes[scene].tracks
        frames = tracks.frames[tracks.tracks == number - self._first[scene]]
        chosen = rng.choice(frames, 2, replace=len(frames) < 2)
        return [(scene, int(frame)) for frame in chosen]

    def _view(self, picture: Image, scene: int, frame: int, rng: Generator) -> Still:
        """A frame zoomed, shifted, mirrored, recoloured and blurred; its boxes' classes are their tracks."""
        draw, tracks = self._draw, self._source.scenes[scene].tracks
        here = tracks.frames == frame
        still = Still(
            picture, tracks.boxes[here], tracks.tracks[here].astype(np.int32), np.zeros(here.sum(), np.bool_)
        )
        view = vary(still, rng, width=draw.width, height=draw.height, zoom=draw.zoom, crop=draw.crop)
        if rng.random() < _BLURRED:
            blurred = cv2.GaussianBlur(view.rgb, (0, 0), float(rng.uniform(*_BLUR_PX)))
            return Still(np.asarray(blurred, np.uint8), view.boxes, view.classes, view.ignored)
        return view


def _readable(view: Still, rng: Generator) -> tuple[NDArray[np.int64], Tensor]:
    """Rows of a view's boxes, and the cell to read each at, near its middle; no two of one cell."""
    rows = np.flatnonzero(~view.ignored)
    boxes = view.boxes[rows]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    middles += rng.uniform(-_OFF_CENTRE, _OFF_CENTRE, middles.shape) * (boxes[:, 2:] - boxes[:, :2])
    height, width = (side // STRIDE for side in view.rgb.shape[:2])
    cells = cells_at(torch.from_numpy(middles), height=height, width=width)
    _, place, times = np.unique(cells.numpy(), return_inverse=True, return_counts=True)
    alone = times[place] == 1
    return rows[alone], cells[torch.from_numpy(alone)]
