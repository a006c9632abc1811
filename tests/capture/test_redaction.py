"""Blurring what a detector finds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.capture.clips import ClipReader
from catseye.capture.geometry import Image, Planes, letterbox
from catseye.capture.ingestion import ingest
from catseye.capture.redaction import blur, find_boxes
from catseye.errors import CatseyeError, InputError, UsageError

WIDTH, HEIGHT = 320, 192
PLATE = np.array([200, 100, 264, 132])
"""Where the pictures have a plate: left, top, right, bottom."""


def picture(number: int) -> Image:
    """A grey road with a red plate of black and white characters."""
    rng = np.random.default_rng(number)
    road = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    road[:, :150] = cv2.resize(rng.integers(60, 120, (24, 19, 3)).astype(np.uint8), (150, HEIGHT))
    left, top, right, bottom = PLATE
    road[top:bottom, left:right] = (200, 30, 30)
    characters = np.random.default_rng(1).integers(0, 2, (4, 8, 1)) * np.uint8(255)
    road[top + 8 : bottom - 8, left + 8 : right - 8] = np.kron(characters, np.ones((4, 6, 1), np.uint8))
    return road


class FindRed:
    """Finds the plate by its colour, and remembers how large the pictures were that it saw."""

    def __call__(self, rgb: Image) -> NDArray[np.floating]:
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        red = (rgb[..., 0] > 150) & (rgb[..., 1] < 90)
        ys, xs = np.nonzero(red)
        if not len(xs):
            return np.zeros((0, 4))
        return np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], dtype=np.float64)


def find_nothing(rgb: Image) -> NDArray[np.floating]:
    return np.zeros((0, 4))


def find_nonsense(rgb: Image) -> NDArray[np.floating]:
    return np.full((1, 4), np.nan)


@pytest.fixture
def video(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    return write_video(tmp_path / "a.mp4", picture, range(0, 2000, 40))


def run(video: Path, out: Path, **options: Any) -> Any:
    return ingest([video], out, **{"width": 160, "height": 96, "jobs": 1, **options})


def frames(dataset: Any) -> Image:
    (clip,) = dataset.clips
    return ClipReader(dataset).read(clip, range(0, len(clip), 10))


@pytest.mark.parametrize("jobs", [1, 2])
def test_shards_are_blurred_where_the_detector_says_and_nowhere_else(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, jobs: int
) -> None:
    caplog.set_level(logging.WARNING)
    before = video.read_bytes()
    plain = frames(run(video, tmp_path / "plain"))
    dataset = run(video, tmp_path / "blurred", redact=FindRed(), redacted_by="red 1.0", jobs=jobs)
    blurred = frames(dataset)
    left, top, right, bottom = PLATE // 2
    at = np.s_[:, top:bottom, left:right]

    def detail(pictures: Image) -> float:
        return float(np.mean([cv2.Laplacian(one, cv2.CV_32F).var() for one in pictures[at]]))

    assert detail(blurred) < 0.02 * detail(plain)
    away = np.ones(plain.shape[1:3], bool)
    away[top - 8 : bottom + 8, left - 8 : right + 8] = False
    assert np.abs(blurred.astype(int) - plain)[:, away].mean() < 1.5
    assert "shards are blurred by red 1.0; the originals stay as they are" in caplog.text
    assert video.read_bytes() == before
    assert json.loads((tmp_path / "blurred/dataset.json").read_text())["redaction"] == "red 1.0"
    assert dataset.fingerprint != run(video, tmp_path / "plain").fingerprint


def test_blurred_and_plain_footage_do_not_mix(video: Path, tmp_path: Path) -> None:
    run(video, tmp_path / "blurred", redact=FindRed(), redacted_by="red")
    run(video, tmp_path / "plain")
    with pytest.raises(InputError, match=r"was made with redaction 'red', not ''"):
        run(video, tmp_path / "blurred")
    with pytest.raises(InputError, match=r"was made with redaction '', not 'red'"):
        run(video, tmp_path / "plain", redact=FindRed(), redacted_by="red")
    with pytest.raises(InputError, match=r"was made with redaction 'red', not 'blue'"):
        run(video, tmp_path / "blurred", redact=find_nothing, redacted_by="blue")


def test_nothing_found_is_nothing_blurred(video: Path, tmp_path: Path) -> None:
    plain = run(video, tmp_path / "plain")
    same = run(video, tmp_path / "same", redact=find_nothing, redacted_by="nothing")
    np.testing.assert_array_equal(frames(plain), frames(same))


def test_a_detector_that_fails_ends_the_ingest(video: Path, tmp_path: Path) -> None:
    with pytest.raises(CatseyeError, match=r"shape \(1, 4\), or are not finite"):
        run(video, tmp_path / "dataset", redact=find_nonsense, redacted_by="nonsense")
    assert list((tmp_path / "dataset/shards").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"redact": find_nothing}, "redacted_by ''"),
        ({"redacted_by": "nobody"}, "redacted_by 'nobody'"),
        (
            {"redact": lambda rgb: np.zeros((0, 4)), "redacted_by": "x", "jobs": 2},
            "cannot go to other processes",
        ),
    ],
)
def test_options_that_cannot_be(video: Path, tmp_path: Path, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        run(video, tmp_path / "dataset", **options)


def noise(width: int = 160, height: int = 96) -> Planes:
    rng = np.random.default_rng(0)
    half = ((height + 1) // 2, (width + 1) // 2)
    return Planes(*(rng.integers(16, 235, size, dtype=np.uint8) for size in ((height, width), half, half)))


def test_luma_and_chroma_lose_their_detail_and_the_given_planes_stay() -> None:
    before = noise()
    kept = before.y.copy()
    after = blur(before, np.array([[40.0, 20.0, 80.0, 60.0]]))
    np.testing.assert_array_equal(before.y, kept)
    for plane, given, step in ((after.y, before.y, 1), (after.u, before.u, 2), (after.v, before.v, 2)):
        inside = np.s_[20 // step : 60 // step, 40 // step : 80 // step]
        assert plane[inside].std() < 0.4 * given[inside].std()
        assert np.abs(np.diff(plane[inside].astype(int), axis=1)).max() < 20
        np.testing.assert_array_equal(plane[: 12 // step], given[: 12 // step])


def test_boxes_at_and_beyond_the_edge_and_given_the_wrong_way_round() -> None:
    before = noise(65, 47)
    whole = blur(before, np.array([[-1e6, -1e6, 1e6, 1e6]]))
    assert whole.y.std() < 0.3 * before.y.std()
    np.testing.assert_array_equal(blur(before, np.array([[200.0, 200.0, 300.0, 300.0]])).y, before.y)
    a, b = (blur(before, np.array([box])).y for box in ([10.0, 5.0, 30.0, 25.0], [30.0, 25.0, 10.0, 5.0]))
    np.testing.assert_array_equal(a, b)


def test_boxes_that_are_none() -> None:
    def finder(boxes: Any) -> Any:
        return lambda rgb: boxes

    rgb = np.zeros((4, 4, 3), np.uint8)
    assert find_boxes(finder(np.zeros((0, 7))), rgb).shape == (0, 4)
    for wrong in (np.zeros(4), np.zeros((2, 5)), np.array([[0, 0, np.inf, 1]])):
        with pytest.raises(CatseyeError, match=r"or are not finite: give \(N, 4\)"):
            find_boxes(finder(wrong), rgb)
    with pytest.raises(CatseyeError, match="fails: ZeroDivisionError: division by zero"):
        find_boxes(lambda rgb: np.array(1 / 0), rgb)


def test_boxes_are_scaled_without_the_border() -> None:
    box = letterbox(320, 160, 160, 96)
    np.testing.assert_allclose(box.scale_boxes(np.array([[10.0, 20.0, 30.0, 40.0]])), [[5, 10, 15, 20]])
