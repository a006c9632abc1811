"""Pictures to judge an embedding by, where nobody has said which vehicles are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.picture_files import write_rgb
from catseye.pretrain.appearance_scenes import Scenes

Describe = Callable[[Image, NDArray[np.float32]], NDArray[np.float32]]
"""Descriptors (N, E) of unit length of boxes (N, 4) in a picture (H, W, 3)."""

_TILE, _BORDER, _MARGIN = 72, 4, 0.15
_TRACKS, _SIGHTS, _QUERIES, _NEIGHBOURS = 24, 6, 16, 8
_SAME, _OTHER, _UNKNOWN, _QUERY = (60, 190, 70), (220, 60, 50), (160, 160, 160), (255, 255, 255)


@dataclass(frozen=True)
class _Sight:
    """One box (4,) of one frame, and the track that it is of."""

    scene: int
    frame: int
    track: int
    box: NDArray[np.float32]


def save_appearance_pictures(source: Scenes, describe: Describe, folder: Path, *, seed: int) -> None:
    """Write ``pseudo-tracks.jpg`` and ``neighbours.jpg``.

    The first has a track a row, in the order of time: a row with two vehicles in it is a wrong link. The
    second has in each row a vehicle and after it the most alike of all others in the first, green where it is
    of the same track, red where it certainly is another vehicle, grey where nobody knows.
    """
    sights = _long_tracks(source, seed=seed)
    by_frame: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, sight in enumerate(sights):
        by_frame[sight.scene, sight.frame].append(row)
    tiles: list[Image] = [np.empty(0, np.uint8)] * len(sights)
    told: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(sights)
    for (scene, frame), rows in by_frame.items():
        (picture,) = source.read([(scene, frame)])
        descriptors = describe(picture, np.stack([sights[row].box for row in rows]))
        for row, descriptor in zip(rows, descriptors, strict=True):
            tiles[row], told[row] = _crop(picture, sights[row].box), descriptor
    by_track: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, sight in enumerate(sights):
        by_track[sight.scene, sight.track].append(row)
    _save(folder / "pseudo-tracks.jpg", [[tiles[row] for row in rows] for rows in by_track.values()])
    queries = [rows[0] for rows in by_track.values()][:_QUERIES]
    _save(folder / "neighbours.jpg", _neighbours(source, sights, tiles, np.stack(told), queries))


def _long_tracks(source: Scenes, *, seed: int) -> list[_Sight]:
    """Sights of the longest tracks, spread over their time; chance decides among tracks of one length."""
    tracks = [
        (scene, number, np.flatnonzero(found.tracks.tracks == number))
        for scene, found in enumerate(source.scenes)
        for number in range(found.tracks.count)
    ]
    order = np.random.default_rng(seed).permutation(len(tracks)).tolist()
    longest = sorted(order, key=lambda place: -len(tracks[place][2]))[:_TRACKS]
    sights = []
    for scene, number, rows in (tracks[place] for place in longest):
        found = source.scenes[scene].tracks
        for row in rows[np.unique(np.linspace(0, len(rows) - 1, _SIGHTS).astype(int))].tolist():
            sights.append(_Sight(scene, int(found.frames[row]), number, found.boxes[row]))
    return sights


def _neighbours(
    source: Scenes,
    sights: Sequence[_Sight],
    tiles: Sequence[Image],
    told: NDArray[np.float32],
    queries: Sequence[int],
) -> list[list[Image]]:
    rows = []
    for query in queries:
        likeness = told @ told[query]
        likeness[query] = -np.inf
        nearest = np.argsort(-likeness, kind="stable")[: min(_NEIGHBOURS, len(sights) - 1)].tolist()
        framed = [_framed(tiles[near], _colour(source, sights[query], sights[near])) for near in nearest]
        rows.append([_framed(tiles[query], _QUERY), *framed])
    return rows


def _colour(source: Scenes, one: _Sight, other: _Sight) -> tuple[int, int, int]:
    if one.scene == other.scene:
        if one.track == other.track:
            return _SAME
        apart = source.scenes[one.scene].tracks.apart()[one.track, other.track]
    else:
        apart = source.scenes[one.scene].drive != source.scenes[other.scene].drive
    return _OTHER if apart else _UNKNOWN


def _crop(picture: Image, box: NDArray[np.float32]) -> Image:
    """A box with a margin, in its own proportions, in the middle of a black square."""
    left, top, right, bottom = box
    across, down = _MARGIN * (right - left), _MARGIN * (bottom - top)
    rows = slice(max(0, int(top - down)), max(1, int(np.ceil(bottom + down))))
    columns = slice(max(0, int(left - across)), max(1, int(np.ceil(right + across))))
    part = picture[rows, columns]
    scale = _TILE / max(part.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in part.shape[1::-1])
    small = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    y, x = (_TILE - size[1]) // 2, (_TILE - size[0]) // 2
    tile[y : y + size[1], x : x + size[0]] = small
    return tile


def _framed(tile: Image, colour: tuple[int, int, int]) -> Image:
    framed = tile.copy()
    cv2.rectangle(framed, (0, 0), (_TILE - 1, _TILE - 1), colour, _BORDER)
    return framed


def _save(path: Path, rows: Sequence[Sequence[Image]]) -> None:
    """Write tiles as a sheet of rows."""
    columns = max(len(row) for row in rows)
    sheet = np.zeros((len(rows) * _TILE, columns * _TILE, 3), np.uint8)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet[y * _TILE : (y + 1) * _TILE, x * _TILE : (x + 1) * _TILE] = tile
    write_rgb(path, sheet)
