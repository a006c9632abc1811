"""Shards: key frames by time, colours unchanged, the border, and clocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from catseye.capture import shards
from catseye.capture.geometry import (
    PAD_VALUE,
    ColorMatrix,
    Planes,
    letterbox,
    pad_planes,
    planes_to_network,
    resize_planes,
)
from catseye.capture.shards import ShardWriter, crop_planes
from catseye.capture.sources import VideoFile

SIZE = (160, 96)


def smooth(seed: int, width: int, height: int, **meaning: Any) -> Planes:
    rng = np.random.default_rng(seed)

    def plane(w: int, h: int, low: int, high: int) -> Any:
        return cv2.resize(
            rng.integers(low, high, (2, 3), dtype=np.uint8), (w, h), interpolation=cv2.INTER_LINEAR
        )

    half = (width + 1) // 2, (height + 1) // 2
    return Planes(plane(width, height, 40, 220), plane(*half, 70, 180), plane(*half, 70, 180), **meaning)


def write(folder: Path, pictures: list[Planes], times_s: list[float]) -> list[shards.Placed]:
    with ShardWriter(folder, "a", width=SIZE[0], height=SIZE[1]) as writer:
        placed = []
        for picture, time_s in zip(pictures, times_s, strict=True):
            box = letterbox(picture.width, picture.height, *SIZE)
            placed.append(writer.write(resize_planes(picture, box), box, time_s=time_s))
        return placed


def read(path: Path) -> list[tuple[int, bool, Planes]]:
    with VideoFile(path) as video:
        assert video.info.time_base == shards.TIME_BASE
        return [(frame.pts, frame.key, frame.planes) for frame in video.frames()]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_a_shard_gives_the_colours_that_the_source_gives(
    tmp_path: Path, matrix: ColorMatrix, full_range: bool
) -> None:
    """Within the codec's loss, which a wrong matrix or range exceeds by far."""
    pictures = [smooth(seed, 320, 180, matrix=matrix, full_range=full_range) for seed in range(3)]
    write(tmp_path, pictures, [0, 0.1, 0.2])
    box = letterbox(320, 180, *SIZE)
    inner = letterbox(box.scaled_width, box.scaled_height, *SIZE)

    def error(picture: Planes, **meaning: Any) -> float:
        expected = planes_to_network(replace(picture, **meaning), box).astype(int)
        return float(np.abs(again - expected).mean())

    for picture, (_, _, found) in zip(pictures, read(tmp_path / "a-000.mp4"), strict=True):
        assert (found.matrix, found.full_range) == (matrix, full_range)
        again = planes_to_network(crop_planes(found, box), inner)
        loss = error(picture)
        assert loss < 2
        assert error(picture, matrix="bt601" if matrix == "bt709" else "bt709") > 2 * loss
        assert error(picture, full_range=not full_range) > 3 * loss


def test_the_border_is_the_grey_of_the_network_frame() -> None:
    for full_range in (False, True):
        picture = smooth(0, 320, 150, full_range=full_range)
        box = letterbox(320, 150, *SIZE)
        scaled = resize_planes(picture, box)
        padded = pad_planes(scaled, box)
        assert (padded.width, padded.height) == SIZE
        rgb = planes_to_network(padded, letterbox(*SIZE, *SIZE))
        assert box.top == 10
        assert np.abs(rgb[: box.top - 1].astype(int) - PAD_VALUE).max() <= 1
        cropped = crop_planes(padded, box)
        for before, after in ((scaled.y, cropped.y), (scaled.u, cropped.u), (scaled.v, cropped.v)):
            np.testing.assert_array_equal(before, after)


def test_key_frames_come_by_real_time(tmp_path: Path) -> None:
    times_s = [*np.arange(0, 2, 0.1), *np.arange(2, 6, 0.4)]
    placed = write(tmp_path, [smooth(0, *SIZE)] * len(times_s), times_s)
    keys = [time_s for time_s, place in zip(times_s, placed, strict=True) if place.key]
    np.testing.assert_allclose(keys, [0, 1, 2, 3.2, 4.4, 5.6])
    found = read(tmp_path / "a-000.mp4")
    assert [(pts, key) for pts, key, _ in found] == [(place.pts, place.key) for place in placed]
    np.testing.assert_allclose([place.pts / 90_000 for place in placed], times_s, atol=1e-5)


def test_long_sources_take_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_S", 2.5)
    placed = write(tmp_path, [smooth(0, *SIZE)] * 14, [0.5 * i for i in range(14)])
    assert [place.shard for place in placed] == [0] * 6 + [1] * 6 + [2] * 2
    assert [place.pts for place in placed[5:8]] == [225_000, 0, 45_000]
    assert placed[6].key and placed[12].key
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-000.mp4", "a-001.mp4", "a-002.mp4"]


def test_time_that_repeats_or_goes_back_does_not_stop_the_clock(tmp_path: Path) -> None:
    placed = write(tmp_path, [smooth(0, *SIZE)] * 6, [10.0, 10.1, 10.1, 3.0, 3.1, 3.2])
    pts = [place.pts for place in placed]
    assert pts == sorted(set(pts)) and {place.shard for place in placed} == {0}
    assert placed[3].key and pts[4] - pts[3] == 9000
    assert [found for found, _, _ in read(tmp_path / "a-000.mp4")] == pts


def test_another_meaning_of_the_levels_begins_a_shard(tmp_path: Path) -> None:
    placed = write(tmp_path, [smooth(0, *SIZE), smooth(0, *SIZE, matrix="bt601")], [0, 0.1])
    assert [(place.shard, place.pts, place.key) for place in placed] == [(0, 0, True), (1, 0, True)]


def test_an_error_leaves_no_half_shard(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path, "a", width=160, height=96) as writer:
        writer.write(smooth(0, *SIZE), letterbox(*SIZE, *SIZE), time_s=0)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
