"""The one definition of network input. The golden figures were worked out by hand from the definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catseye.capture.geometry import (
    PAD_VALUE,
    ColorMatrix,
    Letterbox,
    Planes,
    letterbox,
    planes_to_network,
    planes_to_rgb,
    resize_planes,
    rgb_from_yuv,
    rgb_to_network,
)
from catseye.capture.resampling import resize_plane


def flat(y: int, u: int, v: int, *, width: int = 64, height: int = 48, **meaning: object) -> Planes:
    half = ((height + 1) // 2, (width + 1) // 2)
    return Planes(
        y=np.full((height, width), y, np.uint8),
        u=np.full(half, u, np.uint8),
        v=np.full(half, v, np.uint8),
        **meaning,  # type: ignore[arg-type]  # the fields that say what the levels mean
    )


@pytest.mark.parametrize(
    ("source", "network", "scaled", "corner"),
    [
        ((1280, 720), (320, 192), (320, 180), (0, 6)),
        ((960, 540), (320, 192), (320, 180), (0, 6)),
        ((640, 480), (320, 192), (256, 192), (32, 0)),
        ((1920, 1080), (640, 384), (640, 360), (0, 12)),
        ((160, 96), (320, 192), (320, 192), (0, 0)),
        ((720, 1280), (320, 192), (108, 192), (106, 0)),
        ((641, 359), (320, 192), (320, 180), (0, 6)),
    ],
)
def test_golden_letterboxes(
    source: tuple[int, int], network: tuple[int, int], scaled: tuple[int, int], corner: tuple[int, int]
) -> None:
    assert letterbox(*source, *network) == Letterbox(*source, *network, *scaled, *corner)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 500), st.integers(1, 500))
def test_a_letterbox_is_even_and_inside(width: int, height: int, half_w: int, half_h: int) -> None:
    box = letterbox(width, height, 2 * half_w, 2 * half_h)
    assert not any(n % 2 for n in (box.scaled_width, box.scaled_height, box.left, box.top))
    assert 2 <= box.scaled_width <= box.width and 0 <= box.left <= box.width - box.scaled_width
    assert 2 <= box.scaled_height <= box.height and 0 <= box.top <= box.height - box.scaled_height
    assert box.scaled_width >= box.width - 1 or box.scaled_height >= box.height - 1


@pytest.mark.parametrize("size", [(0, 10, 4, 4), (10, -1, 4, 4), (10, 10, 5, 4), (10, 10, 4, 0)])
def test_sizes_that_cannot_be(size: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]} into {size[2]}x{size[3]}"):
        letterbox(*size)


def test_boxes_go_to_the_network_and_come_back() -> None:
    box = letterbox(1280, 720, 320, 192)
    boxes = np.array([[0, 0, 1280, 720], [100, 200, 300, 260.0]])
    there = box.boxes_to_network(boxes)
    np.testing.assert_allclose(there, [[0, 6, 320, 186], [25, 56, 75, 71]])
    np.testing.assert_allclose(box.boxes_to_source(there), boxes, atol=1e-3)
    outside = box.boxes_to_source(np.array([[-5, 0, 330, 192.0]]))
    np.testing.assert_allclose(outside, [[0, 0, 1280, 720]])


def test_intrinsics_project_to_where_the_pixel_went() -> None:
    box = letterbox(640, 480, 320, 192)
    K = np.array([[500, 0, 310], [0, 510, 250], [0, 0, 1.0]])
    point = np.array([0.3, -0.2, 1.0])
    x, y, _ = K @ point
    there = box.intrinsics_to_network(K) @ point
    np.testing.assert_allclose(there[:2], box.boxes_to_network(np.array([x, y, x, y]))[:2], rtol=1e-6)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_white_black_and_grey_have_no_colour(matrix: ColorMatrix, full_range: bool) -> None:
    low, high = (0, 255) if full_range else (16, 235)
    for level, expected in ((low, 0), (high, 255)):
        rgb = planes_to_rgb(flat(level, 128, 128, matrix=matrix, full_range=full_range))
        assert (rgb == expected).all()


@pytest.mark.parametrize(
    ("matrix", "full_range", "yuv", "rgb"),
    [
        ("bt601", False, (82, 90, 240), (255, 0, 0)),
        ("bt709", False, (63, 102, 240), (255, 0, 0)),
        ("bt601", False, (41, 240, 110), (0, 0, 255)),
        ("bt709", True, (182, 30, 12), (0, 255, 0)),
    ],
)
def test_primaries_by_the_published_levels(
    matrix: ColorMatrix, full_range: bool, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    found = planes_to_rgb(flat(*yuv, matrix=matrix, full_range=full_range))
    assert np.abs(found[0, 0].astype(int) - rgb).max() <= 2


def test_the_colour_matrix_agrees_with_opencv_on_bt601() -> None:
    rng = np.random.default_rng(0)
    y, u, v = rng.integers(40, 200, 3)
    ours = rgb_from_yuv("bt601", full_range=False) @ [y, u, v, 1]
    i420 = np.concatenate([np.full(16, y), np.full(4, u), np.full(4, v)]).astype(np.uint8).reshape(6, 4)
    theirs = cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)[0, 0]
    assert np.abs(np.clip(ours, 0, 255) - theirs).max() <= 1.5


def test_shrinking_averages_areas() -> None:
    planes = flat(0, 128, 128, width=64, height=64, full_range=True)
    planes.y[::2] = 200
    small = resize_planes(planes, letterbox(64, 64, 32, 32))
    assert (small.y == 100).all() and small.u.shape == (16, 16)


@pytest.mark.parametrize("size", [(63, 47), (64, 48), (127, 95)])
def test_odd_sources_and_the_border(size: tuple[int, int]) -> None:
    planes = flat(235, 128, 128, width=size[0], height=size[1])
    box = letterbox(*size, 64, 64)
    frame = planes_to_network(planes, box)
    assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
    inside = np.zeros((64, 64), bool)
    inside[box.top : box.top + box.scaled_height, box.left : box.left + box.scaled_width] = True
    assert (frame[inside] == 255).all() and (frame[~inside] == PAD_VALUE).all() and (~inside).any()


def test_a_still_and_a_video_frame_land_on_the_same_pixels() -> None:
    rng = np.random.default_rng(1)
    grey = cv2.resize(rng.integers(0, 255, (12, 20), dtype=np.uint8), (160, 90))
    planes = Planes(grey, np.full((45, 80), 128, np.uint8), np.full((45, 80), 128, np.uint8), full_range=True)
    box = letterbox(160, 90, 64, 40)
    still = rgb_to_network(np.repeat(grey[..., None], 3, axis=2), box)
    np.testing.assert_allclose(planes_to_network(planes, box), still, atol=1)


def test_a_third_is_the_rounded_mean_of_nine_for_every_sum() -> None:
    sums = np.arange(9 * 255 + 1).reshape(56, 41)
    blocks = sums[..., None] // 9 + (np.arange(9) < sums[..., None] % 9)
    picture = blocks.reshape(56, 41, 3, 3).transpose(0, 2, 1, 3).reshape(168, 123).astype(np.uint8)
    wide = np.zeros((168, 246), np.uint8)
    wide[:, :123], wide[:, 123:] = picture, picture[:, ::-1]
    half = np.zeros((84, 123), np.uint8)
    found = resize_planes(Planes(wide, half, half), letterbox(246, 168, 82, 56)).y
    np.testing.assert_array_equal(found[:, :41], (2 * sums + 9) // 18)
    np.testing.assert_array_equal(found, cv2.resize(wide, (82, 56), interpolation=cv2.INTER_AREA))


def halved(picture: np.ndarray) -> np.ndarray:
    wide = picture.astype(int)
    return (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2] + 2) // 4


@pytest.mark.parametrize(("ratio", "halvings"), [(4, 2), (6, 1), (8, 3)])
def test_a_quarter_or_less_is_halved_first(ratio: int, halvings: int) -> None:
    picture = np.random.default_rng(ratio).integers(0, 256, (24 * ratio, 40 * ratio), dtype=np.uint8)
    expected = picture.astype(int)
    for _ in range(halvings):
        expected = halved(expected)
    rest = ratio >> halvings
    sums = expected.reshape(24, rest, 40, rest).sum(axis=(1, 3))
    chroma = np.zeros((12 * ratio, 20 * ratio), np.uint8)
    found = resize_planes(Planes(picture, chroma, chroma), letterbox(40 * ratio, 24 * ratio, 40, 24)).y
    np.testing.assert_array_equal(found, (2 * sums + rest**2) // (2 * rest**2))


@pytest.mark.parametrize("size", [(200, 120), (166, 98), (163, 101), (1278, 718)])
def test_halving_first_stays_near_the_area(size: tuple[int, int]) -> None:
    coarse = np.random.default_rng(2).integers(0, 256, (4, 5), dtype=np.uint8)
    picture = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    chroma = np.zeros(((size[1] + 1) // 2, (size[0] + 1) // 2), np.uint8)
    box = letterbox(*size, 40, 24)
    found = resize_planes(Planes(picture, chroma, chroma), box).y
    area = cv2.resize(
        picture.astype(np.float64), (box.scaled_width, box.scaled_height), interpolation=cv2.INTER_AREA
    )
    # Each step rounds, and where an odd ratio is left, areas are weighed by halves of a pixel.
    assert np.abs(found - area).max() <= 2 and abs((found - area).mean()) < 0.5


def area_sums(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mean over each new pixel's area, times the size of the plane: whole numbers."""
    for target in reversed(size):  # rows first, then columns
        source = plane.shape[0]
        edges, pixels = np.arange(target + 1) * source, np.arange(source + 1) * target
        covered = np.minimum(edges[1:, None], pixels[1:]) - np.maximum(edges[:-1, None], pixels[:-1])
        plane = (np.maximum(covered, 0) @ plane.astype(np.int64)).T
    return plane


def rounded_areas(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return (2 * area_sums(plane, size) + plane.size) // (2 * plane.size)


def doubled(chroma: np.ndarray) -> np.ndarray:
    padded = np.pad(chroma.astype(int), 1, mode="edge")
    for _ in range(2):  # down, then across
        near = 3 * padded[1:-1]
        padded = np.stack([near + padded[:-2], near + padded[2:]], axis=1).reshape(-1, padded.shape[1]).T
    return (padded + 8) // 16


@pytest.mark.parametrize("size", [(128, 72), (96, 54), (192, 108)])
@pytest.mark.parametrize("meaning", [("bt709", False), ("bt601", True)])
def test_whole_numbers_say_what_a_frame_becomes(
    size: tuple[int, int], meaning: tuple[ColorMatrix, bool]
) -> None:
    rng = np.random.default_rng(7)
    y, u, v = (rng.integers(0, 256, (size[1] // part, size[0] // part), dtype=np.uint8) for part in (1, 2, 2))
    box = letterbox(*size, 56, 32)
    inner, half = (box.scaled_width, box.scaled_height), (box.scaled_width // 2, box.scaled_height // 2)
    levels = np.dstack(
        [rounded_areas(y, inner), doubled(rounded_areas(u, half)), doubled(rounded_areas(v, half))]
    )
    matrix = rgb_from_yuv(meaning[0], full_range=meaning[1])
    gains, offsets = (np.rint(1024 * part).astype(int) for part in (matrix[:, :3], matrix[:, 3] + 0.5))
    expected = np.clip((levels @ gains.T + offsets) // 1024, 0, 255)
    found = planes_to_network(Planes(y, u, v, *meaning), box)
    np.testing.assert_array_equal(
        found[box.top : box.top + inner[1], box.left : box.left + inner[0]], expected
    )


@pytest.mark.parametrize("sizes", [((427, 241), (224, 126)), ((1919, 31), (448, 10)), ((97, 64), (96, 33))])
def test_areas_of_awkward_ratios_are_nearly_exact(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    (width, height), size = sizes
    picture = np.random.default_rng(8).integers(0, 256, (height, width), dtype=np.uint8)
    found = resize_plane(picture, size)
    assert np.abs(found - area_sums(picture, size) / picture.size).max() < 1.5
    assert (resize_plane(np.full_like(picture, 255), size) == 255).all()
    channels = resize_plane(np.dstack([picture, picture.T.reshape(picture.shape), picture]), size)
    np.testing.assert_array_equal(channels[..., 2], found)


def test_border_right_and_below_or_none() -> None:
    corner = letterbox(200, 100, 64, 64, "top_left")
    assert (corner.scaled_width, corner.scaled_height, corner.left, corner.top) == (64, 32, 0, 0)
    stretched = letterbox(200, 100, 64, 64, "stretch")
    assert (stretched.scale_x, stretched.scale_y) == (0.32, 0.64)
    white = np.full((100, 200, 3), 255, dtype=np.uint8)
    assert (rgb_to_network(white, corner) == 255).all(axis=(1, 2)).sum() == 32
    assert (rgb_to_network(white, corner)[32:] == PAD_VALUE).all()
    assert (rgb_to_network(white, stretched) == 255).all()
    for box in (corner, stretched):
        there = box.boxes_to_network(np.array([[20.0, 10.0, 120.0, 90.0]]))
        np.testing.assert_allclose(box.boxes_to_source(there), [[20, 10, 120, 90]], rtol=1e-5)
