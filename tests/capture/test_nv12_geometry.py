"""Frames as NV12 planes of a network's size and colour."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest

from catseye.capture.geometry import (
    PAD_VALUE,
    ColorMatrix,
    Image,
    Planes,
    convert_planes,
    letterbox,
    planes_from_rgb,
    planes_to_network,
    planes_to_nv12,
    planes_to_rgb,
    rgb_from_yuv,
    rgb_to_network,
    rgb_to_nv12,
    yuv_from_rgb,
)

Meaning = tuple[ColorMatrix, bool]
MEANINGS: list[Meaning] = list(product(("bt601", "bt709"), (False, True)))


def flat(y: int, u: int, v: int, meaning: Meaning) -> Planes:
    half = np.full((2, 3), 0, np.uint8)
    return Planes(np.full((4, 6), y, np.uint8), half + np.uint8(u), half + np.uint8(v), *meaning)


def street(meaning: Meaning, *, width: int = 64, height: int = 48) -> Planes:
    """Smooth colours that RGB can show, with some sharp edges."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(20, 236, (6, 8, 3), dtype=np.uint8)
    rgb = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    rgb[height // 4 : height // 2, width // 8 : width // 3] = (200, 40, 30)
    return planes_from_rgb(rgb, matrix=meaning[0], full_range=meaning[1])


def in_graph(luma: Image, chroma: Image, meaning: Meaning) -> np.ndarray:
    """RGB levels as the graph makes them, written out pixel by pixel."""
    matrix, (height, width) = rgb_from_yuv(meaning[0], full_range=meaning[1]), luma.shape
    found = np.empty((height, width, 3))
    for y, x in np.ndindex(height, width):
        mixed = np.zeros(2)
        # A pixel lies a quarter of the way from its own chroma sample to the next.
        for dy, dx in product((0, 1), (0, 1)):
            row = min(max(y // 2 + dy * (1 if y % 2 else -1), 0), chroma.shape[0] - 1)
            column = min(max(x // 2 + dx * (1 if x % 2 else -1), 0), chroma.shape[1] - 1)
            mixed += chroma[row, column] * (0.25 if dy else 0.75) * (0.25 if dx else 0.75)
        found[y, x] = matrix[:, :3] @ (luma[y, x], *mixed) + matrix[:, 3]
    return np.clip(found, 0, 255)


@pytest.mark.parametrize(
    ("levels", "of", "becomes", "to"),
    [
        ((82, 90, 240), ("bt601", False), (63, 102, 240), ("bt709", False)),  # red
        ((41, 240, 110), ("bt601", False), (32, 240, 118), ("bt709", False)),  # blue
        ((145, 54, 34), ("bt601", False), (173, 42, 26), ("bt709", False)),  # green
        ((182, 30, 12), ("bt709", True), (173, 42, 26), ("bt709", False)),
        ((235, 128, 128), ("bt709", False), (255, 128, 128), ("bt601", True)),
        ((0, 128, 128), ("bt601", True), (16, 128, 128), ("bt709", False)),
    ],
)
def test_published_levels_become_those_of_the_other_matrix_and_range(
    levels: tuple[int, int, int], of: Meaning, becomes: tuple[int, int, int], to: Meaning
) -> None:
    found = convert_planes(flat(*levels, of), matrix=to[0], full_range=to[1])
    assert (found.matrix, found.full_range) == to
    for plane, level in zip((found.y, found.u, found.v), becomes, strict=True):
        assert np.abs(plane.astype(int) - level).max() <= 1


@pytest.mark.parametrize("to", MEANINGS)
@pytest.mark.parametrize("of", MEANINGS)
def test_converted_planes_show_what_the_way_through_rgb_shows(of: Meaning, to: Meaning) -> None:
    planes = street(of)
    converted = convert_planes(planes, matrix=to[0], full_range=to[1])
    if of == to:
        assert converted is planes
    matrix = rgb_from_yuv(of[0], full_range=of[1])
    seen, direct = (
        in_graph(each.y, np.dstack([each.u, each.v]), (each.matrix, each.full_range))
        for each in (converted, planes)
    )
    assert matrix.shape == (3, 4)
    # Three roundings to whole levels, which the matrix multiplies by up to 2.1.
    assert np.abs(seen - direct).max() <= 2.5 and np.abs(seen - direct).mean() <= 0.6
    wrong = in_graph(planes.y, np.dstack([planes.u, planes.v]), to)
    if of != to:
        assert np.abs(wrong - direct).mean() > 2


@pytest.mark.parametrize("meaning", MEANINGS)
def test_pictures_as_planes_agree_with_opencv_and_come_back(meaning: Meaning) -> None:
    draw = np.random.default_rng(0).integers(30, 220, (12, 16, 3), dtype=np.uint8)
    rgb = draw.repeat(2, axis=0).repeat(2, axis=1)
    planes = planes_from_rgb(rgb, matrix=meaning[0], full_range=meaning[1])
    if meaning == ("bt601", False):
        theirs = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
        ours = np.concatenate([planes.y.ravel(), planes.u.ravel(), planes.v.ravel()])
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    again = planes_to_rgb(planes_from_rgb(grey, matrix=meaning[0], full_range=meaning[1]))
    assert np.abs(again.astype(int) - grey).max() <= 1
    both = yuv_from_rgb(meaning[0], full_range=meaning[1]) @ np.vstack(
        [rgb_from_yuv(meaning[0], full_range=meaning[1]), [0, 0, 0, 1]]
    )
    np.testing.assert_allclose(both, np.eye(3, 4), atol=1e-9)


def test_golden_planes() -> None:
    """8x4 pixels of 2x2 blocks into 4x6: halved, and a border of two rows above and below."""
    y = np.array([[40, 60, 80, 100], [120, 140, 160, 180]], np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    y[0, 0] += 8  # of a mean of four, two levels
    u = np.array([[100, 104, 140, 144], [100, 104, 140, 144]], np.uint8)
    v = u[:, ::-1].copy()
    box = letterbox(8, 4, 4, 6)
    luma, chroma = planes_to_nv12(Planes(y, u, v), box, matrix="bt709", full_range=False)
    grey = [114] * 4
    assert luma.tolist() == [grey, grey, [42, 60, 80, 100], [120, 140, 160, 180], grey, grey]
    assert chroma.tolist() == [[[128, 128]] * 2, [[102, 142], [142, 102]], [[128, 128]] * 2]


@pytest.mark.parametrize("meaning", MEANINGS)
@pytest.mark.parametrize("size", [(130, 98), (127, 71), (64, 96)])
def test_the_network_sees_the_same_of_planes_as_of_rgb(meaning: Meaning, size: tuple[int, int]) -> None:
    planes = street(meaning, width=size[0] // 2 * 2, height=size[1] // 2 * 2)
    odd = Planes(planes.y[: size[1], : size[0]], planes.u, planes.v, *meaning)
    box = letterbox(odd.width, odd.height, 48, 32)
    rgb = planes_to_network(odd, box).astype(int)
    edge = np.zeros((32, 48), bool)
    inside = edge.copy()
    inside[box.top : box.top + box.scaled_height, box.left : box.left + box.scaled_width] = True
    around = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))) - cv2.erode(
        inside.astype(np.uint8), np.ones((3, 3)), borderValue=1
    )
    for to in MEANINGS:
        luma, chroma = planes_to_nv12(odd, box, matrix=to[0], full_range=to[1])
        seen = in_graph(luma, chroma, to)
        difference = np.abs(seen - rgb).max(axis=2)
        assert difference[around == 0].max() <= 4 and difference[around == 0].mean() <= 1
        border = ~inside & (around == 0)
        assert np.abs(seen[border] - PAD_VALUE).max(initial=0) < 0.6
    assert (~inside).any()


def test_a_still_loses_its_fine_colour_alone() -> None:
    rgb = planes_to_rgb(street(("bt709", True)))
    box = letterbox(64, 48, 48, 48)
    seen = in_graph(*rgb_to_nv12(rgb, box, matrix="bt709", full_range=False), ("bt709", False))
    expected = rgb_to_network(rgb, box)
    grey = np.array([0.2126, 0.7152, 0.0722])
    assert np.abs((seen - expected) @ grey).mean() < 1
    assert np.abs(seen - expected).mean() < 3
