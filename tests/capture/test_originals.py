"""Reading from the source files gives what the shards give, without their loss."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.capture import originals
from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image, letterbox, planes_to_network
from catseye.capture.ingestion import ingest
from catseye.capture.originals import OriginalReader
from catseye.capture.sources import VideoFile
from catseye.errors import InputError
from catseye.files import sha256_of

Number = Callable[[Image], int]


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> Dataset:
    """A video of a variable rate with B-frames over open groups and a gap, and a plain one."""
    folder = tmp_path_factory.mktemp("originals")
    pts = [*range(500, 3000, 50), *range(3000, 6000, 110), *range(20_000, 22_500, 33)]
    write_video(
        folder / "a.mp4",
        moving(1),
        pts,
        b_frames=3,
        gop=20,
        preset="veryfast",
        x264={"x264-params": "open-gop=1:keyint=20"},
    )
    write_video(folder / "b.mkv", moving(2), range(0, 3000, 40))
    return ingest([folder], folder / "dataset", width=96, height=64, jobs=1, max_clip_s=2)


def test_every_frame_is_that_of_the_source(dataset: Dataset) -> None:
    expected = {}
    for source in {clip.source for clip in dataset.clips}:
        with VideoFile(source, threads=1) as video:
            for frame in video.frames():
                box = letterbox(frame.planes.width, frame.planes.height, 96, 64)
                expected[source, frame.pts] = planes_to_network(frame.planes, box)
    reader = OriginalReader(dataset)
    assert len(dataset.clips) > 4 and sum(len(clip) for clip in dataset.clips) == len(expected)
    for clip in dataset.clips[::-1]:
        found = reader.read(clip, range(len(clip)))
        for pts, picture in zip(clip.pts.tolist(), found, strict=True):
            np.testing.assert_array_equal(picture, expected[clip.source, pts])


def test_originals_and_shards_give_the_same_frames(dataset: Dataset, number_of: Number) -> None:
    rng = np.random.default_rng(0)
    sources, shards = OriginalReader(dataset), ClipReader(dataset)
    for _ in range(15):
        clip = dataset.clips[rng.integers(len(dataset.clips))]
        frames = rng.integers(0, len(clip), 4).tolist()
        one, other = sources.read(clip, frames), shards.read(clip, frames)
        assert [number_of(picture) for picture in one] == [number_of(picture) for picture in other]
        assert np.abs(one.astype(int) - other).mean() < 4


def test_time_stamps_are_those_of_ffprobe(dataset: Dataset) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    for source in {clip.source for clip in dataset.clips}:
        command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json", "-show_entries"]
        answer = subprocess.run([*command, "frame=pts", source], check=True, capture_output=True)
        expected = [frame["pts"] for frame in json.loads(answer.stdout)["frames"]]
        rows = sorted(
            (clip for clip in dataset.clips if clip.source == source), key=lambda clip: clip.clip_id
        )
        assert np.concatenate([clip.pts for clip in rows]).tolist() == expected


def test_a_pickled_reader_reads_on(dataset: Dataset) -> None:
    reader = OriginalReader(dataset)
    clip = dataset.clips[0]
    before = reader.read(clip, [3, 4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).read(clip, [3, 4]), before)


def test_a_source_that_is_gone_or_turned_back_in_time_is_told(dataset: Dataset, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.mp4")
    first = dataset.clips[0]
    moved = replace(
        dataset,
        clips=tuple(
            replace(clip, source=gone) if clip.source == first.source else clip for clip in dataset.clips
        ),
    )
    (lost, *found) = OriginalReader(moved).read_many([Request(clip, [0]) for clip in moved.clips])
    assert isinstance(lost, CorruptClip) and gone in str(lost)
    assert any(not isinstance(pictures, CorruptClip) for pictures in found)
    backwards = replace(dataset, clips=(replace(first, pts=first.pts[::-1].copy()),))
    with pytest.raises(CorruptClip, match="times do not rise"):
        OriginalReader(backwards).read(first, [0])


@pytest.fixture
def copied(dataset: Dataset, tmp_path: Path) -> Dataset:
    """The dataset and its originals at another place, which may be changed."""
    paths = {clip.source: tmp_path / Path(clip.source).name for clip in dataset.clips}
    for source, path in paths.items():
        shutil.copy(source, path)
    return ingest([*paths.values()], tmp_path / "dataset", width=96, height=64, jobs=1, max_clip_s=2)


def by_file(dataset: Dataset, name: str) -> list[Request]:
    return [Request(clip, [0, 1]) for clip in dataset.clips if Path(clip.source).name == name]


def test_a_source_that_has_changed_is_told_though_its_times_are_the_same(
    copied: Dataset, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    changed = by_file(copied, "b.mkv")
    before = OriginalReader(copied).read_many(changed)
    write_video(Path(changed[0].clip.source), moving(3), range(0, 3000, 40))
    found = OriginalReader(copied).read_many(changed)
    assert found and not any(isinstance(pictures, CorruptClip) for pictures in before)
    for request, error in zip(changed, found, strict=True):
        assert isinstance(error, CorruptClip)
        assert str(error) == (
            f"clip {request.clip.clip_id} in {request.clip.source}: has changed since it was ingested"
        )
    others = OriginalReader(copied).read_many(by_file(copied, "a.mp4"))
    assert others and not any(isinstance(pictures, CorruptClip) for pictures in others)


def test_a_source_is_known_by_its_content(copied: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only looks changed is hashed, once; what does not is not hashed at all."""
    hashed: list[str] = []

    def noted(path: Path) -> str:
        hashed.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(originals, "sha256_of", noted)
    requests = [*by_file(copied, "a.mp4"), *by_file(copied, "b.mkv")]
    before = OriginalReader(copied).read_many(requests)
    assert hashed == []
    path = Path(requests[0].clip.source)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, (1, 1))
    reader = OriginalReader(copied, max_open=1)
    for _ in range(2):
        for found, expected in zip(reader.read_many(requests), before, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert hashed == ["a.mp4"]


def test_a_source_without_ingests_notes_is_hashed(copied: Dataset, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "dataset" / ".work")
    (request, *_) = by_file(copied, "a.mp4")
    assert not isinstance(OriginalReader(copied).read_many([request])[0], CorruptClip)
    path = Path(request.clip.source)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptClip, match="has changed since it was ingested"):
        OriginalReader(copied).read(request.clip, request.frames)


def find_middle(rgb: Image) -> Image:
    height, width = rgb.shape[:2]
    return np.array([[width // 4, height // 4, 3 * width // 4, 3 * height // 4]])


def test_originals_of_blurred_shards_are_read_only_where_that_is_said(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(1), range(0, 2000, 40))
    size = {"width": 96, "height": 64, "jobs": 1}
    plain = ingest([path], tmp_path / "plain", **size)
    blurred = ingest([path], tmp_path / "blurred", **size, redact=find_middle, redacted_by="a detector 1.0")
    with pytest.raises(InputError) as refused:
        OriginalReader(blurred)
    assert str(refused.value) == (
        f"{blurred.url}: is blurred by a detector 1.0, and the originals show what that hides; "
        "read the shards, or say accept_unblurred=True"
    )
    accepted = OriginalReader(blurred, accept_unblurred=True)
    (clip,), (same,) = blurred.clips, plain.clips
    found = accepted.read(clip, [0, 9])
    np.testing.assert_array_equal(found, OriginalReader(plain).read(same, [0, 9]))
    assert np.abs(found.astype(int) - ClipReader(blurred).read(clip, [0, 9])).mean() > 5
