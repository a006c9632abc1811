"""What is compiled gives the bytes of NumPy and OpenCV, however they lie in memory."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catseye.capture import area_products
from catseye.capture.compiled import COMPILED, Compiled
from catseye.capture.resampling import double_plane, resize_frame, resize_plane

sides = st.integers(1, 300)

AT_THE_EDGE = """
import ctypes, mmap
import numpy as np
from catseye.capture.compiled import COMPILED

libc, page = ctypes.CDLL(None), mmap.PAGESIZE
for height in range(2, 40):
    room = mmap.mmap(-1, (height + 2) * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(room))
    for guard in (base, base + (height + 1) * page):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    plane = np.frombuffer(room, np.uint8, height * page, page).reshape(height, page)
    for lower in range(1, height):
        COMPILED.resize_by_area(plane, (8, lower))
    COMPILED.double_plane(plane)
print("done")
"""
"""Planes before and behind which nothing may be read."""


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    if COMPILED is None:
        pytest.skip("installed without a C compiler")
    return COMPILED


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@given(sides, sides, sides, sides, st.integers(0, 2**32))
@example(3, 2, 2, 2, 0)
@example(300, 300, 1, 299, 0)
@example(1, 7, 1, 3, 0)
def test_areas_are_the_bytes_of_numpy(
    compiled: Compiled, height: int, width: int, lower: int, narrower: int, seed: int
) -> None:
    plane, size = noise(height, width, seed), (min(width, narrower), min(height, lower))
    expected = area_products.resize_by_area(plane, size)
    np.testing.assert_array_equal(compiled.resize_by_area(plane, size), expected)


@pytest.mark.parametrize("size", [(448, 252), (416, 234), (1279, 719), (640, 1), (1, 360)])
def test_areas_of_whole_frames_of_white_do_not_overflow(compiled: Compiled, size: tuple[int, int]) -> None:
    assert (compiled.resize_by_area(np.full((720, 1280), 255, np.uint8), size) == 255).all()


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 2**32))
def test_doubled_is_the_bytes_of_opencv(compiled: Compiled, height: int, width: int, seed: int) -> None:
    plane = noise(height, width, seed)
    expected = cv2.resize(plane, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR_EXACT)
    np.testing.assert_array_equal(compiled.double_plane(plane), expected)
    np.testing.assert_array_equal(double_plane(plane), expected)


@given(sides, sides, st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**32))
@example(203, 101, 50, 101, 0)
def test_a_frame_at_once_is_its_planes_one_by_one(
    compiled: Compiled, height: int, width: int, half_height: int, half_width: int, seed: int
) -> None:
    """Also where it goes into a larger picture, whose other levels stay."""
    half = (min(half_height, (height + 1) // 2), min(half_width, (width + 1) // 2))
    y = noise(max(height, 2 * half[0]), max(width, 2 * half[1]), seed)
    u, v = (noise((y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2, seed + at) for at in (1, 2))
    whole = np.full((2 * half[0] + 3, 2 * half[1] + 5, 3), 7, np.uint8)
    made = whole[1:-2, 2:-3]
    compiled.resize_frame(y, u, v, made)
    np.testing.assert_array_equal(
        made[..., 0], area_products.resize_by_area(y, (made.shape[1], made.shape[0]))
    )
    for at, plane in ((1, u), (2, v)):
        small = area_products.resize_by_area(plane, half[::-1])
        np.testing.assert_array_equal(made[..., at], compiled.double_plane(small))
    made[:] = 7
    assert (whole == 7).all()


@pytest.mark.usefixtures("compiled")
def test_nothing_is_read_beside_a_plane() -> None:
    done = subprocess.run([sys.executable, "-c", AT_THE_EDGE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("size", [(64, 48), (60, 30), (32, 24), (20, 16), (16, 12), (12, 10), (100, 60)])
def test_every_way_to_a_frame_is_by_planes(size: tuple[int, int]) -> None:
    """As it is, stretched, to a half, awkwardly, to a quarter, and larger."""
    y, u, v = noise(48, 64, 0), noise(24, 32, 1), noise(24, 32, 2)
    made = np.empty((size[1], size[0], 3), np.uint8)
    resize_frame(y, u, v, made)
    half = (size[0] // 2, size[1] // 2)
    chroma = [double_plane(resize_plane(plane, half)) for plane in (u, v)]
    np.testing.assert_array_equal(made, np.dstack([resize_plane(y, size), *chroma]))


@pytest.mark.parametrize(
    "view",
    [
        lambda wide: wide[3:43, 5:65],
        lambda wide: wide[::2, ::2],
        lambda wide: wide[::-1],
        lambda wide: wide[:, ::-1],
        lambda wide: wide.T,
    ],
    ids=["cut out", "every second", "upside down", "mirrored", "turned"],
)
def test_views_are_read_as_they_are(compiled: Compiled, view: object) -> None:
    seen = view(noise(100, 120, 0))  # type: ignore[operator]
    alone, size = np.ascontiguousarray(seen), (20, 13)
    np.testing.assert_array_equal(compiled.resize_by_area(seen, size), compiled.resize_by_area(alone, size))
    np.testing.assert_array_equal(compiled.double_plane(seen), compiled.double_plane(alone))
