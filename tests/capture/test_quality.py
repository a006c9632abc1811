"""Scores of frames, and the spans they make."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from catseye.capture.geometry import Image, Planes
from catseye.capture.quality import (
    CORRUPT,
    DARK,
    DARK_BELOW,
    FROZEN,
    OBSTRUCTED,
    OBSTRUCTED_FROM,
    STATIONARY,
    STATIONARY_BELOW,
    FrameScores,
    Scorer,
    runs,
    scene_cuts,
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


def test_a_scene_that_changes_is_cut_there_and_a_flash_is_not() -> None:
    one, other = driving(25, step=1), [picture[:, ::-1] for picture in driving(75, step=1)[50:]]
    flash = driving(50, step=1)
    flash[25] = np.full((H, W), 250, np.uint8)
    exposure = [np.clip(picture.astype(int) + (60 if i >= 25 else 0), 0, 255).astype(np.uint8)
                for i, picture in enumerate(driving(50, step=1))]  # fmt: skip

    def cuts(pictures: list[Image], fps: float = 25) -> list[int]:
        return scene_cuts(scores_of(pictures, fps=fps), np.arange(len(pictures)) / fps)

    assert cuts([*one, *other]) == [25]
    assert cuts(flash) == cuts(exposure) == cuts(driving(50, step=1)) == []
    # Two frames a second differ all the time.
    assert cuts(driving(50, step=20), fps=2) == []
    assert cuts([]) == cuts(driving(1, step=1)) == []


def blot(picture: Image) -> Image:
    """Mud over the lower middle of the lens."""
    mask = np.zeros((H, W), np.float32)
    cv2.ellipse(mask, (W // 2, 2 * H // 3), (2 * W // 5, 2 * H // 5), 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 3)
    return np.asarray(picture * (1 - mask) + 30 * mask, dtype=np.uint8)


def test_a_blot_on_the_lens_is_found_and_a_lorry_passing_is_not() -> None:
    clean = driving(200)
    dirty = [noisy(blot(picture), np.random.default_rng(i), 1.0) for i, picture in enumerate(clean)]
    assert np.median([score.obstruction for score in scores_of(dirty)]) >= OBSTRUCTED_FROM
    assert max(score.obstruction for score in scores_of(clean)) < OBSTRUCTED_FROM
    assert tags_of(dirty)[OBSTRUCTED] > 0.95 and tags_of(clean) == {}
    assert tags_of([*clean[:70], *dirty[70:130], *clean[130:]]) == {}


def test_a_plain_sky_is_no_obstruction_nor_is_a_wall_before_a_standing_camera() -> None:
    sky = [np.vstack([np.full((H // 2, W), 220, np.uint8), picture[: H // 2]]) for picture in driving(150)]
    assert max(score.obstruction for score in scores_of(sky)) == 0
    rng = np.random.default_rng(0)
    wall = [
        noisy(np.vstack([scene()[: H // 2, :W], np.full((H // 2, W), 40, np.uint8)]), rng) for _ in range(150)
    ]
    assert max(score.obstruction for score in scores_of(wall)) == 0


def test_a_night_sky_and_the_own_bonnet_are_no_obstruction() -> None:
    """Plain and still, they are in all of a vehicle's footage. A cloth by day, a blot at night are found."""
    rng = np.random.default_rng(0)
    dark = [np.asarray(picture // 3, np.uint8) for picture in driving(150)]
    night = [np.vstack([np.full((H // 2, W), 12, np.uint8), picture[: H // 2]]) for picture in dark]
    assert max(score.obstruction for score in scores_of([noisy(p, rng, 1.0) for p in night])) == 0
    bonnet = [
        np.vstack([picture[: 3 * H // 4], np.full((H // 4, W), 45, np.uint8)]) for picture in driving(150)
    ]
    assert max(score.obstruction for score in scores_of([noisy(p, rng, 1.0) for p in bonnet])) == 0
    cloth = [
        np.vstack([np.full((H // 3, W), 30, np.uint8), picture[: H - H // 3]]) for picture in driving(150)
    ]
    for covered in (cloth, [blot(picture) for picture in dark]):
        scores = scores_of([noisy(picture, rng, 1.0) for picture in covered])
        assert np.median([score.obstruction for score in scores]) >= OBSTRUCTED_FROM


def one(**change: object) -> FrameScores:
    values = {"brightness": 100.0, "sharpness": 100.0, "motion": 10.0, "identical": False}
    return FrameScores(**{**values, **change})  # type: ignore[arg-type]  # as a test names them


def spread_of(scores: list[FrameScores]) -> list[tuple[int, int]]:
    flags = tag_spans(scores, np.arange(len(scores)) / 25)[CORRUPT]
    return [(start, stop) for start, stop in runs(flags) if flags[start]]


@pytest.mark.parametrize("sign", [{"damaged": True}, {"torn": 0.02}, {"filled": 0.2}])
def test_a_single_damaged_picture_counts_up_to_the_next_key_frame(sign: dict[str, object]) -> None:
    scores = [one(key=i % 25 == 0) for i in range(100)]
    scores[30] = one(**sign)
    assert spread_of(scores) == [(30, 50)]
    scores[60] = one(**sign)  # what lies between is too little to be worth anything
    assert spread_of(scores) == [(30, 75)]


def test_edges_that_all_pictures_have_are_no_damage() -> None:
    assert spread_of([one(torn=0.02) for _ in range(100)]) == []
    assert spread_of([one(torn=0.004) for _ in range(100)]) == []


def test_a_picture_unlike_both_its_neighbours_is_damaged() -> None:
    pictures = [
        np.asarray(cv2.GaussianBlur(picture, (0, 0), 8), np.uint8) for picture in driving(100, step=1)
    ]
    assert spread_of(scores_of(pictures)) == []
    pictures[30] = np.vstack([pictures[30][: H // 2], np.roll(pictures[30][H // 2 :], 40, axis=1)])
    assert spread_of(scores_of(pictures)) == [(30, 31)]


def test_what_lasts_is_looked_at_ten_times_a_second_and_what_may_not_in_every_frame() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (H, W), dtype=np.uint8) for _ in range(100)]
    fast, slow = scores_of(noise, fps=100), scores_of(noise[:10], fps=5)
    for name in ("sharpness", "motion"):
        assert 9 <= len({getattr(score, name) for score in fast[1:]}) <= 11
        assert len({getattr(score, name) for score in slow}) == 10
    for name in ("brightness", "jump", "jump_over"):
        assert len({getattr(score, name) for score in fast[2:]}) > 90  # some means are equal
    held = scores_of([*noise[:50], *noise[49:50] * 2], fps=100)
    assert [score.identical for score in held[49:]] == [False, True, True]


def test_a_clock_that_goes_back_is_looked_at_anew() -> None:
    rng = np.random.default_rng(0)
    scorer = Scorer()
    found = [
        scorer.score(Planes(rng.integers(0, 255, (H, W), dtype=np.uint8), CHROMA, CHROMA), time_s=time_s)
        for time_s in (10.0, 10.05, 10.1, 3.0, 3.05)
    ]
    sharpness = [score.sharpness for score in found]
    assert sharpness[1] == sharpness[2] != sharpness[3] == sharpness[4]
