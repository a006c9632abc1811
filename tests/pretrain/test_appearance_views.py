from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from catseye.capture.geometry import Image
from catseye.pretrain.appearance_scenes import Scene, Scenes
from catseye.pretrain.appearance_views import ViewDraw, Views, ViewSampler
from catseye.pretrain.pseudo_tracks import PseudoTracks

COLOURS = {(0, 0): 250, (0, 1): 180, (1, 0): 110, (2, 0): 40}
"""Grey of each (scene, track), so that a picture tells whose box a cell lies in."""


class Painted(Scenes):
    """Three scenes, the first two of one drive: a grey square a track, at 96×64, moving to the right."""

    def __init__(self) -> None:
        two = PseudoTracks(
            frames=np.repeat(np.arange(5), 2),
            boxes=np.concatenate([_boxes(frame, 2) for frame in range(5)]),
            tracks=np.tile([0, 1], 5),
        )
        one = PseudoTracks(np.array([3]), _boxes(3, 1), np.array([0]))
        self.scenes = (Scene("a", "x", two), Scene("b", "x", one), Scene("c", "y", one))

    def read(self, wanted: Sequence[tuple[int, int]]) -> list[Image]:
        pictures = []
        for scene, frame in wanted:
            picture = np.zeros((64, 96, 3), np.uint8)
            tracks = self.scenes[scene].tracks
            for row in np.flatnonzero(tracks.frames == frame):
                x0, y0, x1, y1 = tracks.boxes[row].astype(int)
                picture[y0:y1, x0:x1] = COLOURS[scene, int(tracks.tracks[row])]
            pictures.append(picture)
        return pictures


def _boxes(frame: int, count: int) -> np.ndarray:
    corners = np.array([[6 + 3 * frame, 6], [50 + 3 * frame, 26]], np.float32)[:count]
    return np.concatenate([corners, corners + 24], axis=1)


def sampler(seed: int = 0, rank: int = 0) -> ViewSampler:
    return ViewSampler(Painted(), ViewDraw(width=96, height=64, pairs=6, zoom=1.1, seed=seed, rank=rank))


def equal(a: Views, b: Views) -> bool:
    return torch.equal(a.rgb, b.rgb) and torch.equal(a.cells, b.cells)


def test_a_batch_follows_from_seed_step_and_rank() -> None:
    batch = sampler().batch(3)
    assert equal(batch, sampler().batch(3))
    assert equal(batch, list(sampler().batches(first_step=2, steps=5))[1])
    for other in (sampler().batch(4), sampler(seed=1).batch(3), sampler(rank=1).batch(3)):
        assert not torch.equal(batch.rgb, other.rgb)


def test_cells_lie_in_the_boxes_they_stand_for() -> None:
    views = sampler().batch(0)
    assert views.rgb.shape == (12, 3, 64, 96) and views.rgb.dtype == torch.uint8 and len(views.cells) > 10
    inside = []
    for picture, cell in zip(views.pictures.tolist(), views.cells.tolist(), strict=True):
        y, x = divmod(cell, 96 // 4)
        inside.append(int(views.rgb[picture, :, 4 * y + 2, 4 * x + 2].sum()))
    assert min(inside) > 30
    assert len({*zip(views.pictures.tolist(), views.cells.tolist(), strict=True)}) == len(views.cells)


class Covered(Painted):
    """One scene, of a square upon a square."""

    def __init__(self) -> None:
        large, small = [30, 20, 54, 44], [38, 28, 46, 36]
        both = PseudoTracks(np.zeros(2, np.int64), np.array([large, small], np.float32), np.arange(2))
        self.scenes = (Scene("a", "x", both),)


def test_boxes_that_would_be_read_at_one_cell_are_left_out() -> None:
    covered = ViewSampler(Covered(), ViewDraw(width=96, height=64, pairs=6, zoom=1.1, seed=0))
    batches = [covered.batch(step) for step in range(3)]
    for views in batches:
        places = [*zip(views.pictures.tolist(), views.cells.tolist(), strict=True)]
        assert len(set(places)) == len(places)
    assert sum(len(views.cells) for views in batches) < 3 * 12 * 2


def test_views_come_in_pairs_that_share_a_track() -> None:
    views = sampler().batch(1)
    for pair in range(6):
        of_pair = (views.pictures // 2 == pair).nonzero()[:, 0]
        assert views.relations.same[of_pair][:, of_pair].any()
    first = views.rgb[0].float()
    assert (first - views.rgb[1].float()).abs().mean() > 1


def test_relations_are_those_that_are_certain() -> None:
    scenes, tracks = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 0, 0, 0, 0])
    relations = sampler().relations(scenes, tracks)
    # Of two clips of one drive, rows 0 to 3, nothing is known; another drive has other vehicles.
    assert relations.same.int().tolist() == [
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0],
    ]
    assert relations.apart.int().tolist() == [
        [0, 1, 0, 0, 1, 1],
        [1, 0, 1, 0, 1, 1],
        [0, 1, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
    ]
