"""Small videos whose frames carry their number, in every shape that footage comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from catseye.capture.geometry import Image
from catseye.capture.writer import VideoWriter

WIDTH, HEIGHT = 160, 96
BITS, BIT = 10, 16

Pictures = Callable[[int], Image]
WriteVideo = Callable[..., Path]


def texture(seed: int) -> Image:
    """A wide smooth random picture, (HEIGHT, 8 WIDTH, 3) uint8 of mean level 120."""
    coarse = np.random.default_rng(seed).integers(0, 240, (HEIGHT // 8, WIDTH, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (8 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def stamp(picture: Image, number: int) -> Image:
    """Write a number into the top rows as ten black or white squares."""
    picture = picture.copy()
    for bit in range(BITS):
        picture[:BIT, bit * BIT : (bit + 1) * BIT] = 255 * (number >> bit & 1)
    return picture


@pytest.fixture(scope="session")
def number_of() -> Callable[[Image], int]:
    """Read the number of a frame, at any size that keeps the shape."""

    def read(picture: Image) -> int:
        small = cv2.resize(picture[..., 1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        centres = [small[BIT // 2, bit * BIT + BIT // 2] for bit in range(BITS)]
        assert all(level < 64 or level > 192 for level in centres), "no number in this picture"
        return sum(int(level > 128) << bit for bit, level in enumerate(centres))

    return read


@pytest.fixture(scope="session")
def moving() -> Callable[..., Pictures]:
    """Pictures of a camera that drives by, by frame number; each carries its number."""

    def pictures(seed: int = 0) -> Pictures:
        scene = texture(seed)

        def picture(number: int) -> Image:
            shift = 3 * number % (scene.shape[1] - WIDTH)
            return stamp(scene[:, shift : shift + WIDTH], number)

        return picture

    return pictures


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    """Write ``picture(0), picture(1), …`` at the pts given, in milliseconds unless told otherwise."""

    def write(
        path: Path,
        picture: Pictures,
        pts: Iterable[int],
        *,
        time_base: Fraction = Fraction(1, 1000),
        crf: float = 12,
        **options: object,
    ) -> Path:
        height, width = picture(0).shape[:2]
        writer = VideoWriter(
            path,
            width=width,
            height=height,
            time_base=time_base,
            crf=crf,
            threads=1,
            **{"gop": 25, "preset": "ultrafast", **options},  # type: ignore[arg-type]  # options of the writer, as a test names them
        )
        with writer:
            for number, at in enumerate(pts):
                writer.write_rgb(picture(number), pts=at)
        return path

    return write


@pytest.fixture(scope="session")
def every() -> Callable[..., list[int]]:
    """Time stamps of ``count`` frames a step apart, from ``start`` on."""

    def stamps(step: int, count: int, *, start: int = 0) -> list[int]:
        return list(range(start, start + step * count, step))

    return stamps


@pytest.fixture(scope="session")
def remux() -> Callable[..., Path]:
    """Copy a video's packets into another file or container, with the muxer's options and metadata given."""

    def copy(source: Path, target: Path, *, metadata: dict[str, str] | None = None, **options: str) -> Path:
        with av.open(str(source)) as given, av.open(str(target), "w", options=options) as made:
            template = given.streams.video[0]
            if hasattr(made, "add_stream_from_template"):
                stream = made.add_stream_from_template(template)
            else:  # PyAV before 14
                stream = made.add_stream(template=template)
            made.metadata.update(metadata or {})
            for packet in given.demux(template):
                if packet.size:
                    packet.stream = stream
                    made.mux(packet)
        return target

    return copy


@pytest.fixture
def drive(tmp_path: Path, write_video: WriteVideo, moving: Callable[..., Pictures]) -> Callable[..., Path]:
    """A 3 s video at 25 fps of a scene of its own, under ``tmp_path``."""

    def make(name: str = "drive.mp4", *, seed: int = 0, pts: Sequence[int] | None = None) -> Path:
        return write_video(tmp_path / name, moving(seed), pts or range(0, 3000, 40))

    return make
