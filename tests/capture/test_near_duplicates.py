"""The same footage under other bytes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.capture.ingest_file import set_aside
from catseye.capture.ingestion import ingest
from catseye.capture.manifest import Clip
from catseye.capture.near_duplicates import (
    SAMPLE_S,
    SceneHasher,
    find_near_duplicates,
    to_columns,
)

FPS = 25


def run(paths: list[Path], out: Path, **options: Any) -> Dataset:
    return ingest(paths, out, **{"width": 160, "height": 96, "jobs": 1, **options})


def footage(seed: int) -> Callable[[int], Image]:
    """A camera that drives along a street of its own, at a speed that changes; by frame number."""
    rng = np.random.default_rng(seed)
    street = cv2.resize(
        rng.integers(20, 230, (6, 100, 3)).astype(np.uint8), (6400, 192), interpolation=cv2.INTER_CUBIC
    )
    at = np.cumsum(rng.uniform(2, 6, 400)).astype(int)
    return lambda number: np.ascontiguousarray(street[:, at[number] : at[number] + 320])


def test_encoded_again_scaled_cut_and_at_another_rate(
    write_video: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = footage(1)

    def worse(number: int) -> Image:
        """Every second frame from 1.1 s on, smaller, brighter and soft."""
        picture = cv2.resize(original(2 * number + 27), (224, 136), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.convertScaleAbs(cv2.GaussianBlur(picture, (0, 0), 1), alpha=0.9, beta=15))

    write_video(tmp_path / "a.mp4", original, range(0, 6000, 40))
    write_video(tmp_path / "b.mp4", worse, range(0, 4000, 80), crf=33)
    write_video(tmp_path / "c.mp4", footage(2), range(0, 6000, 40))
    caplog.set_level(logging.WARNING)
    clips = run([tmp_path], tmp_path / "dataset").clips
    by_name = {
        name: [clip for clip in clips if Path(clip.source).name == name]
        for name in ("a.mp4", "b.mp4", "c.mp4")
    }
    assert all(clip.usable for name in ("a.mp4", "c.mp4") for clip in by_name[name])
    (a,), (b,) = by_name["a.mp4"], by_name["b.mp4"]
    assert b.tags == {"near-duplicate"} and b.reason == f"shows the same as {a.clip_id} of {a.source}"


def test_what_was_there_first_stays(write_video: Callable[..., Path], tmp_path: Path) -> None:
    first = write_video(tmp_path / "z.mp4", footage(1), range(0, 3000, 40))
    run([first], tmp_path / "dataset")
    write_video(tmp_path / "a.mp4", footage(1), range(0, 3000, 40), crf=30)
    later, kept = run([tmp_path], tmp_path / "dataset").clips
    assert kept.usable and Path(kept.source).name == "z.mp4" and later.tags == {"near-duplicate"}
    # Judged anew each time, it comes back when the first is gone.
    from catseye.capture.erasure import erase_drive

    (left,) = erase_drive(tmp_path / "dataset", kept.drive).clips
    assert left.usable and left.reason == "" and left.tags == frozenset()


def test_drives_that_share_footage_go_to_one_side(write_video: Callable[..., Path], tmp_path: Path) -> None:
    """A third of the second drive is in the first: the rest of it may not teach what the first tests."""
    write_video(tmp_path / "one/a.mp4", footage(1), range(0, 3000, 40))
    write_video(tmp_path / "two/a.mp4", footage(1), range(0, 3000, 40), crf=30)
    write_video(tmp_path / "two/b.mp4", footage(2), range(0, 3000, 40))
    write_video(tmp_path / "three/a.mp4", footage(3), range(0, 3000, 40))
    options: dict[str, Any] = {"drive_from": r"/(one|two|three)/"}
    held_out = run([tmp_path], tmp_path / "held-out", holdout=[tmp_path / "one"], **options)
    splits = {(clip.drive, clip.split) for clip in held_out.clips}
    assert splits == {("one", "test"), ("two", "test"), ("three", "train")}
    for fraction in (0.1, 0.5, 0.9):
        dataset = run([tmp_path], tmp_path / f"{fraction}", validation_fraction=fraction, **options)
        by_drive = {clip.drive: clip.split for clip in dataset.clips}
        assert by_drive["one"] == by_drive["two"] != by_drive["three"]


def test_a_picture_that_does_not_change_is_the_same_as_nothing(
    write_video: Callable[..., Path], tmp_path: Path
) -> None:
    still = footage(1)(0)

    def with_noise(seed: int) -> Callable[[int], Image]:
        rng = np.random.default_rng(seed)
        # Enough to pass for motion, with nothing that tells one from the other.
        return lambda number: np.clip(
            still + rng.normal(0, 1, still.shape) + 4 * (number % 5), 0, 255
        ).astype(np.uint8)

    for seed in (1, 2):
        write_video(tmp_path / f"{seed}.mp4", with_noise(seed), range(0, 3000, 40))
    for clip in run([tmp_path], tmp_path / "dataset").clips:
        assert "near-duplicate" not in clip.tags or clip.tags != {"near-duplicate"}


def test_samples_lie_on_a_grid_of_time() -> None:
    luma = np.random.default_rng(0).integers(0, 255, (48, 80), dtype=np.uint8)
    hasher = SceneHasher()
    found = [
        [sample.at for sample in hasher.samples(luma, time_s=t)] for t in (1.0, 1.1, 1.2, 1.85, 1.9, 9.0)
    ]
    assert found == [[5], [], [6], [7, 8, 9], [], [41, 42, 43, 44, 45]]
    # Where time goes back a new stretch begins.
    assert [sample.at for sample in hasher.samples(luma, time_s=0.4)] == [2]
    assert SAMPLE_S == 0.2


def test_columns_and_back() -> None:
    hasher = SceneHasher()
    rng = np.random.default_rng(0)
    samples = [
        sample
        for i in range(4)
        for sample in hasher.samples(rng.integers(0, 255, (48, 80), dtype=np.uint8), time_s=1 + 0.2 * i)
    ]
    words, start = to_columns(samples)
    assert start == 5 and words.dtype == np.uint64 and words.shape == (8,)
    assert words[2] == samples[1].spatial and words[7] == samples[3].temporal
    assert to_columns([])[0].shape == (0,)


def row(sha256: str, words: NDArray[np.uint64]) -> Clip:
    return dataclasses.replace(
        set_aside(f"/{sha256}.mp4", sha256, "x", "x"), scene_hashes=words.ravel(), scene_start=100
    )


@pytest.mark.parametrize(("share", "same"), [(0.05, True), (0.15, True), (0.19, False), (0.3, False)])
def test_what_is_found_by_single_samples_must_agree_as_a_whole(share: float, same: bool) -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**63, (40, 2)).astype(np.uint64)
    bits = np.unpackbits(words.view(np.uint8))
    noise = rng.random(bits.size) < share
    noise[:: bits.size // 8] = False
    other = np.packbits(bits ^ noise).view(np.uint64).reshape(40, 2)
    other[:3, 0] = words[:3, 0]  # a few samples agree to the bit, so that the place is found
    found = find_near_duplicates([row("a" * 64, words), row("b" * 64, other)])
    assert (len(found) == 1) is same


def test_half_of_a_clip_must_be_in_the_other_file() -> None:
    rng = np.random.default_rng(0)
    words, other = (rng.integers(0, 2**63, (40, 2)).astype(np.uint64) for _ in range(2))
    for shared, same in ((24, True), (16, False)):
        other[:shared] = words[-shared:]
        other[shared:] = rng.integers(0, 2**63, (40 - shared, 2)).astype(np.uint64)
        assert len(find_near_duplicates([row("a" * 64, words), row("b" * 64, other)])) == same
    # The same file may look the same twice: a vehicle waits, or drives round a block.
    assert find_near_duplicates([row("a" * 64, words), row("a" * 64, words)]) == {}


def part(source: Path, target: Path, start_s: float, stop_s: float) -> Path:
    """Copy the packets of some seconds of a video, from the key frame before them on."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        template = given.streams.video[0]
        if hasattr(made, "add_stream_from_template"):
            stream = made.add_stream_from_template(template)
        else:  # PyAV before 14
            stream = made.add_stream(template=template)
        assert template.time_base is not None
        given.seek(int(start_s / template.time_base), stream=template)
        for packet in given.demux(template):
            if packet.pts is not None and packet.pts * template.time_base < stop_s:
                packet.stream = stream
                made.mux(packet)
    return target


def test_real_footage_finds_what_is_in_two_files_and_no_other_part_of_the_highway(
    shared_data: Path, tmp_path: Path
) -> None:
    """``highway_shadows`` is seconds 35 to 45 of ``highway_passing`` under another encoding."""
    passing = shared_data / "video/highway_passing.mp4"
    first = part(passing, tmp_path / "1.mp4", 0, 8)
    later = part(passing, tmp_path / "2.mp4", 36, 45)
    # A name beside the others: of two files with the same footage the one whose path comes first is kept.
    shadows = part(shared_data / "video/highway_shadows.mp4", tmp_path / "3.mp4", 0, 60)
    dataset = ingest([first, later, shadows], tmp_path / "dataset", jobs=1, width=160, height=96)
    found = [(Path(clip.source).stem, clip.reason) for clip in dataset.clips if "near-duplicate" in clip.tags]
    assert {name for name, _ in found} == {"3"}
    assert all(str(later) in reason for _, reason in found)
    assert not any(clip.usable for clip in dataset.clips if clip.source == str(shadows))
