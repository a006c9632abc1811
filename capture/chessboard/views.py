"""Pictures and videos of a chessboard as views of its corners, and why the others are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from catseye.capture.chessboard.corners import Board, Points, find_corners, seen_board
from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.sources import VIDEO_SUFFIXES, VideoFile
from catseye.errors import InputError
from catseye.progress import Progress

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

SIZE_TOLERANCE_PX = 2
"""Pictures this much larger than the commonest size are cropped: tools that save pictures round sizes up."""

MOST_FROM_VIDEO = 40
_SAMPLE_S = 0.5
_APART = 0.03
_REMEDY = "give pictures of a printed chessboard, or a video of one"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and what to call it: a file's name, with the time for a frame of a video."""

    name: str
    bgr: Image

    @property
    def grey(self) -> Image:
        return np.asarray(cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class View:
    """A picture in which the whole board was found.

    Args:
        name: of the picture.
        corners: (N, 2) float32, see ``corners.find_corners``.
        width, height: of the picture in pixels.
        jpeg: the picture, to draw on.
    """

    name: str
    corners: Points
    width: int
    height: int
    jpeg: bytes

    @property
    def bgr(self) -> Image:
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)


@dataclass(frozen=True)
class Dropped:
    """A picture that takes no part, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Sightings:
    """What was found in all pictures.

    Args:
        board: the one looked for, or the one most pictures show.
        views: of one size.
        dropped: the rest.
    """

    board: Board
    views: tuple[View, ...]
    dropped: tuple[Dropped, ...]


def find_views(paths: Sequence[Path], board: Board | None, *, progress: Progress) -> Sightings:
    """Look for the board in pictures, in folders of them and in videos.

    Of a video, the sharpest frame of each half second is looked at, and of those that show the board the ones
    that differ most are taken, at most ``MOST_FROM_VIDEO``.

    Args:
        board: None takes the one that most pictures show.

    Raises:
        InputError: a path is missing, holds no picture, none shows a board, or the sizes differ.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InputError("calibrate", "no picture is named", _REMEDY)
    board = board or _commonest_board(files, progress)
    views: list[View] = []
    dropped: list[Dropped] = []
    for number, file in enumerate(files):
        progress("chessboards", number, len(files))
        is_video = file.suffix.lower() in VIDEO_SUFFIXES
        found = [_view(picture, board) for picture in _pictures(file)]
        seen = [item for item in found if isinstance(item, View)]
        views += _different(seen, most=MOST_FROM_VIDEO) if is_video else seen
        if is_video and not seen:
            dropped.append(Dropped(file.name, f"none of {len(found)} frames looked at shows the board whole"))
        elif not is_video:
            dropped += [item for item in found if isinstance(item, Dropped)]
            if not found:
                dropped.append(Dropped(file.name, "cannot be read as a picture"))
    progress("chessboards", len(files), len(files))
    if not views:
        first = dropped[0]
        raise InputError(
            first.name if len(dropped) == 1 else f"{len(dropped)} pictures",
            f"show no whole board of {board} inner corners ({first.name}: {first.reason})",
            "give --board the number of its inner corners, or auto",
        )
    return Sightings(board, tuple(_one_size(views)), tuple(dropped))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(path, "no such file or folder", "check the path")
    found = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES and not file.name.startswith(".")
    )
    if not found:
        raise InputError(path, "has no picture or video in it", _REMEDY)
    return found


def _pictures(file: Path) -> Iterator[Picture]:
    """The picture of a file, nothing if it cannot be read, or the frames of a video worth looking at."""
    if file.suffix.lower() in VIDEO_SUFFIXES:
        yield from _sharp_frames(file)
        return
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if picture is not None:
        yield Picture(file.name, np.asarray(picture, dtype=np.uint8))


def _sharp_frames(file: Path) -> Iterator[Picture]:
    best: tuple[float, float, Image] | None = None
    with VideoFile(file) as video:
        for frame in video.frames():
            if best is not None and frame.time_s - frame.time_s % _SAMPLE_S > best[1]:
                yield Picture(f"{file.name} at {best[1]:.2f} s", best[2])
                best = None
            sharpness = cv2.meanStdDev(cv2.Laplacian(frame.planes.y, cv2.CV_16S))[1].item()
            if best is None or sharpness > best[0]:
                bgr = cv2.cvtColor(planes_to_rgb(frame.planes), cv2.COLOR_RGB2BGR)
                best = (sharpness, frame.time_s, np.asarray(bgr, dtype=np.uint8))
    if best is not None:
        yield Picture(f"{file.name} at {best[1]:.2f} s", best[2])


def _commonest_board(files: Sequence[Path], progress: Progress) -> Board:
    seen: Counter[Board] = Counter()
    for number, file in enumerate(files):
        progress("board's size", number, len(files))
        boards = (seen_board(picture.grey) for picture in _pictures(file))
        seen.update(board for board in boards if board is not None)
    progress("board's size", len(files), len(files))
    if not seen:
        raise InputError(f"{len(files)} pictures", "show no chessboard", _REMEDY)
    return max(seen, key=lambda board: (seen[board], board))


def _view(picture: Picture, board: Board) -> View | Dropped:
    grey = picture.grey
    corners = find_corners(grey, board)
    if corners is None:
        seen = seen_board(grey)
        return Dropped(
            picture.name,
            f"{seen} of {board} corners are seen whole" if seen else f"no board of {board} corners is seen",
        )
    jpeg = cv2.imencode(".jpg", picture.bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return View(picture.name, corners, grey.shape[1], grey.shape[0], jpeg)


def _different(views: Sequence[View], *, most: int) -> list[View]:
    """Views spread as far from each other as they go, by farthest-point sampling, in their order.

    Two views are as far apart as their corners on average, in picture widths.
    """
    if not views:
        return []
    corners = np.stack([view.corners / view.width for view in views])
    chosen = [0]
    nearest = np.linalg.norm(corners - corners[0], axis=2).mean(axis=1)
    while len(chosen) < most and nearest.max() > _APART:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(corners - corners[chosen[-1]], axis=2).mean(axis=1))
    return [views[index] for index in sorted(chosen)]


def _one_size(views: Sequence[View]) -> list[View]:
    """Crop what is a pixel or two larger than the commonest size; corners stay where they are.

    Raises:
        InputError: a picture has another size.
    """
    (width, height), count = Counter((view.width, view.height) for view in views).most_common(1)[0]
    for view in views:
        if max(abs(view.width - width), abs(view.height - height)) > SIZE_TOLERANCE_PX:
            raise InputError(
                view.name,
                f"is of {view.width}x{view.height} pixels, but {count} others of {width}x{height}",
                "give pictures of one camera at one size",
            )
    return [replace(view, width=width, height=height) for view in views]
