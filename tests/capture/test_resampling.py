"""What is compiled gives the bytes of NumPy and OpenCV, however they lie in memory."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catseye.capture import area_products
from catseye.capture.compiled import COMPILED, Compiled
from catseye.capture.resampling import double_plane

sides = st.integers(1, 300)


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
