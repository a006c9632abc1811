"""Pictures and videos of a chessboard as views of its corners, and why the others are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
_UNREADABLE = "cannot be read as a picture"
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
        read = _views_of_video if file.suffix.lower() in VIDEO_SUFFIXES else _views_of_picture
        for item in read(file, board):
            if isinstance(item, View):
                views.append(item)
            else:
                dropped.append(item)
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


def _views_of_picture(file: Path, board: Board) -> list[View | Dropped]:
    return [_view(picture, board) for picture in _pictures(file)] or [Dropped(file.name, _UNREADABLE)]


def _views_of_video(file: Path, board: Board) -> list[View | Dropped]:
    """The views of a video that differ, or one line on why there is none."""
    kept: list[View] = []
    looked_at = 0
    try:
        for picture in _pictures(file):
            looked_at += 1
            view = _view(picture, board)
            # What differs little is dropped as it comes, so that a long video is never held in memory.
            if isinstance(view, View) and all(_apart(view, other) > _APART for other in kept):
                kept.append(view)
    except InputError as error:
        return [Dropped(file.name, error.fault)]
    if not kept:
        return [Dropped(file.name, f"none of {looked_at} frames looked at shows the board whole")]
    return [*_most_different(kept, most=MOST_FROM_VIDEO)]


def _pictures(file: Path) -> Iterator[Picture]:
    """The picture of a file, nothing if it cannot be read, or the frames of a video worth looking at."""
    if file.suffix.lower() in VIDEO_SUFFIXES:
        yield from _sharp_frames(file)
        return
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except cv2.error:
        return
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
        with suppress(InputError):  # a video that cannot be read is told of later
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


def _apart(one: View, other: View) -> float:
    """How far corners moved between two views on average, in picture widths."""
    return float(np.linalg.norm(one.corners - other.corners, axis=1).mean() / one.width)


def _most_different(views: Sequence[View], *, most: int) -> list[View]:
    """Views as far from each other as they go, by farthest-point sampling, in their order."""
    chosen = [0]
    nearest = np.array([_apart(views[0], view) for view in views])
    while len(chosen) < min(most, len(views)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, [_apart(views[chosen[-1]], view) for view in views])
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
