from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catseye.capture.clips import CorruptClip, Request
from catseye.capture.dataset import open_dataset
from catseye.capture.full_frames import FullFrameReader
from catseye.capture.geometry import Image
from catseye.capture.ingestion import ingest


def test_frames_are_read_at_their_own_size(
    drive: Callable[..., Path], number_of: Callable[[Image], int], tmp_path: Path
) -> None:
    video = drive()
    ingest([video], tmp_path / "dataset", width=96, height=64, validation_fraction=0, jobs=1)
    dataset = open_dataset(tmp_path / "dataset")
    clip = dataset.clips[0]
    reader = FullFrameReader(dataset)
    frames = reader.read(clip, [40, 3])
    assert frames.shape == (2, 96, 160, 3) and frames.dtype == np.uint8
    assert [number_of(frame) for frame in frames] == [40, 3]
    assert len(reader.read_many([Request(clip, [1]), Request(clip, [2])])) == 2
    reader.close()
    video.write_bytes(video.read_bytes()[:-100])
    with pytest.raises(CorruptClip, match="has changed since it was ingested"):
        FullFrameReader(dataset).read(clip, [0])


def test_clips_of_two_sizes_are_not_read_at_once(
    drive: Callable[..., Path],
    write_video: Callable[..., Path],
    moving: Callable[..., Callable[[int], Image]],
    tmp_path: Path,
) -> None:
    picture = moving(1)
    tall = write_video(tmp_path / "tall.mp4", lambda n: np.vstack([picture(n)] * 2), range(0, 3000, 40))
    ingest([drive(), tall], tmp_path / "dataset", width=96, height=64, validation_fraction=0, jobs=1)
    clips = open_dataset(tmp_path / "dataset").clips
    assert {clip.height for clip in clips} == {96, 192}
    reader = FullFrameReader(open_dataset(tmp_path / "dataset"))
    with pytest.raises(ValueError, match="clips of different sizes"):
        reader.read_many([Request(clip, [0]) for clip in clips])
    assert reader.read(clips[1], [0]).shape[1] == clips[1].height
