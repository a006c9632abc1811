"""Reading from the source files gives what the shards give, without their loss."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image, letterbox, planes_to_network
from catseye.capture.ingestion import ingest
from catseye.capture.originals import OriginalReader
from catseye.capture.sources import VideoFile

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
    originals, shards = OriginalReader(dataset), ClipReader(dataset)
    for _ in range(15):
        clip = dataset.clips[rng.integers(len(dataset.clips))]
        frames = rng.integers(0, len(clip), 4).tolist()
        one, other = originals.read(clip, frames), shards.read(clip, frames)
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
