"""Scores of frames, and the spans they make."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from catseye.capture.geometry import Image, Planes
from catseye.capture.quality import (
    DARK,
    DARK_BELOW,
    FROZEN,
    STATIONARY,
    STATIONARY_BELOW,
    FrameScores,
    Scorer,
    runs,
    steady,
    tag_spans,
)

W, H = 160, 96
CHROMA = np.full((H // 2, W // 2), 128, np.uint8)


def scene(seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (H // 8, W), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (8 * W, H), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def scores_of(pictures: list[Image], *, fps: float = 25, full_range: bool = True) -> list[FrameScores]:
    scorer = Scorer()
    return [
        scorer.score(Planes(picture, CHROMA, CHROMA, full_range=full_range), time_s=i / fps)
        for i, picture in enumerate(pictures)
    ]


def tags_of(pictures: list[Image], *, fps: float = 25) -> dict[str, float]:
    """The share of frames in spans of each tag that there is."""
    times_s = np.arange(len(pictures)) / fps
    found = tag_spans(scores_of(pictures, fps=fps), times_s)
    return {tag: float(flags.mean()) for tag, flags in found.items() if flags.any()}


def noisy(picture: Image, rng: np.random.Generator, sigma: float = 2.0) -> Image:
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def driving(count: int, step: int = 3) -> list[Image]:
    wide = scene()
    return [wide[:, step * i : step * i + W] for i in range(count)]


@pytest.mark.parametrize("fps", [5.0, 25.0, 60.0])
def test_driving_has_no_tag_at_any_rate(fps: float) -> None:
    pictures = driving(60, step=max(1, round(75 / fps)))
    assert tags_of(pictures, fps=fps) == {}


def test_a_standing_camera_with_noise_and_a_passing_car() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(50):
        picture = noisy(scene()[:, :W], rng)
        picture[50:80, 3 * i : 3 * i + 25] = 240
        pictures.append(picture)
    assert tags_of(pictures) == {STATIONARY: 1}


def test_a_frozen_picture_and_one_repeated_by_a_recorder() -> None:
    frozen = [scene()[:, :W]] * 50
    assert tags_of(frozen) == {FROZEN: 1}
    assert tags_of(frozen[:10], fps=1)[FROZEN] == 1
    repeated = [picture for picture in driving(20, step=9) for _ in range(3)]
    assert tags_of(repeated, fps=30) == {}


def test_darkness_is_the_same_in_either_range() -> None:
    dark = [noisy(np.full((H, W), 8, np.uint8), np.random.default_rng(i), 3) for i in range(30)]
    assert tags_of(dark)[DARK] == 1
    limited, full = (
        scores_of([np.full((H, W), level, np.uint8)], full_range=full)[0].brightness
        for level, full in ((16 + 50 * 219 // 255, False), (50, True))
    )
    assert limited == pytest.approx(full, abs=1.5)
    assert full > DARK_BELOW > 8


def test_sharpness_falls_with_blur() -> None:
    sharp = noisy(scene()[:, :W], np.random.default_rng(0), 10)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 2), np.uint8)
    a, b = (scores_of([picture])[0].sharpness for picture in (sharp, blurred))
    assert a > 5 * b


def test_motion_of_the_first_frame_is_unknown_and_later_measured_over_a_fifth_of_a_second() -> None:
    scores = scores_of(driving(30, step=1), fps=60)
    assert np.isnan(scores[0].motion)
    assert scores[20].motion > 2 * scores[1].motion > 0
    assert scores[20].motion > STATIONARY_BELOW


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([(50, 1)], [(50, 1)]),
        ([(50, 0), (50, 1), (50, 0)], [(50, 0), (50, 1), (50, 0)]),
        # A key frame that flickers does not tear a span, and a blip does not make one.
        ([(20, 1), (1, 0), (30, 1), (1, 0), (20, 1)], [(72, 1)]),
        ([(40, 0), (20, 1), (40, 0)], [(100, 0)]),
        ([(40, 0), (24, 1), (36, 0)], [(100, 0)]),
        ([(40, 0), (25, 1), (35, 0)], [(40, 0), (25, 1), (35, 0)]),
    ],
)
def test_spans_of_a_second_hold(flags: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    def spread(pairs: list[tuple[int, int]]) -> np.ndarray:
        return np.repeat([bool(value) for _, value in pairs], [count for count, _ in pairs])

    given = spread(flags)
    np.testing.assert_array_equal(steady(given, np.arange(len(given)) / 25), spread(expected))


def test_runs() -> None:
    assert runs(np.array([], bool)) == []
    assert runs(np.array([1, 1, 0, 1], bool)) == [(0, 2), (2, 3), (3, 4)]
