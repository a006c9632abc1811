"""No flipped byte of a shard gives a picture that was not written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from catseye.capture.checksums import Checksums, frame_checksums
from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.geometry import Image
from catseye.capture.ingestion import ingest


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> Dataset:
    """Two clips in one shard of three groups."""
    folder = tmp_path_factory.mktemp("checksums")
    write_video(folder / "a.mp4", moving(1), range(0, 3000, 40))
    return ingest([folder], folder / "dataset", width=96, height=64, jobs=1, max_clip_s=2)


def read(dataset: Dataset, *, step: int = 5) -> list[Image | CorruptClip]:
    """Pairs of frames from all over it; with a step of 1, every frame."""
    requests = [
        Request(clip, [at, min(at + 3, len(clip) - 1)])
        for clip in dataset.clips
        for at in range(0, len(clip), step)
    ]
    return ClipReader(dataset).read_many(requests)


def media(path: Path) -> range:
    """Where the packets are in a shard; what comes before and after says how to read them."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert all(packet.pos is not None for packet in packets)
    return range(min(packet.pos for packet in packets), max(packet.pos + packet.size for packet in packets))


@pytest.fixture
def flipped(dataset: Dataset, tmp_path: Path) -> Callable[..., list[Image | CorruptClip]]:
    """Read a copy of the dataset with some bits of one byte of its shard flipped."""
    shutil.copytree(dataset.url, tmp_path / "copy")
    copy = open_dataset(tmp_path / "copy")
    path = tmp_path / "copy" / copy.clips[0].shard
    whole = path.read_bytes()

    def flip(place: int, bits: int, step: int = 5) -> list[Image | CorruptClip]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
        return read(copy, step=step)

    return flip


def test_every_frame_has_one(dataset: Dataset) -> None:
    assert len(dataset.clips) == 2 and len({clip.shard for clip in dataset.clips}) == 1
    path = Path(dataset.url) / dataset.clips[0].shard
    pts = np.concatenate([clip.shard_pts for clip in dataset.clips]).tolist()
    sums = np.concatenate([clip.shard_checksums for clip in dataset.clips])
    assert sums.dtype == np.uint32 and len(set(sums.tolist())) == 75
    assert dict(zip(pts, sums.tolist(), strict=True)) == frame_checksums(path)


def test_no_flipped_byte_of_the_packets_gives_another_picture(
    dataset: Dataset, flipped: Callable[..., list[Image | CorruptClip]]
) -> None:
    rng = np.random.default_rng(0)
    intact = read(dataset, step=1)
    places = media(Path(dataset.url) / dataset.clips[0].shard)
    for place in rng.choice(places, 40, replace=False).tolist():
        lost = 0
        for found, expected in zip(flipped(place, 1 << int(rng.integers(8)), 1), intact, strict=True):
            lost += isinstance(found, CorruptClip)
            if not isinstance(found, CorruptClip):
                np.testing.assert_array_equal(found, expected)
        # Only what lies behind the byte in its group is lost.
        assert 0 < lost <= 25 + 3


def test_no_flipped_byte_of_the_decoders_configuration_gives_a_picture(
    dataset: Dataset, flipped: Callable[..., list[Image | CorruptClip]]
) -> None:
    path = Path(dataset.url) / dataset.clips[0].shard
    with av.open(str(path)) as container:
        configuration = container.streams.video[0].codec_context.extradata
    assert configuration
    first = path.read_bytes().index(configuration)
    for place in range(first, first + len(configuration)):
        assert all(isinstance(found, CorruptClip) for found in flipped(place, 1, 15))


def test_frames_of_one_time_have_none(dataset: Dataset) -> None:
    with av.open(str(Path(dataset.url) / dataset.clips[0].shard)) as container:
        checksums = Checksums(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
    packets[3].pts = packets[2].pts
    for packet in packets[:5]:
        checksums.add(packet)
    assert len(checksums.found) == 4 and checksums.found[packets[2].pts] is None
    assert None not in [checksums.found[packets[place].pts] for place in (0, 1, 4)]


def test_no_flipped_byte_of_the_tables_gives_another_picture(
    dataset: Dataset, flipped: Callable[..., list[Image | CorruptClip]]
) -> None:
    rng = np.random.default_rng(1)
    intact = read(dataset)
    path = Path(dataset.url) / dataset.clips[0].shard
    packets = media(path)
    tables = [*range(packets.start), *range(packets.stop, path.stat().st_size)]
    for place in rng.choice(tables, 80, replace=False).tolist():
        for found, expected in zip(flipped(place, int(rng.integers(1, 256))), intact, strict=True):
            if not isinstance(found, CorruptClip):
                np.testing.assert_array_equal(found, expected)


def test_a_decoder_alone_would_not_tell(
    dataset: Dataset, tmp_path: Path, flipped: Callable[..., list[Image | CorruptClip]]
) -> None:
    """What the checksums are for; and how a dataset reads that has none."""
    none = np.zeros(0, dtype=np.uint32)
    old = replace(dataset, clips=tuple(replace(clip, shard_checksums=none) for clip in dataset.clips))
    intact = read(dataset)
    for found, expected in zip(read(old), intact, strict=True):
        np.testing.assert_array_equal(found, expected)
    copy = tmp_path / "copy"
    unchecked = replace(old, url=str(copy))
    wrong = 0
    for place in list(media(copy / dataset.clips[0].shard))[100::1500]:
        flipped(place, 4)
        wrong += sum(
            not isinstance(found, CorruptClip) and not np.array_equal(found, expected)
            for found, expected in zip(read(unchecked), intact, strict=True)
        )
    assert wrong


def test_a_table_without_checksums_opens(dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(dataset.url, tmp_path / "old")
    rows = tmp_path / "old" / "clips.parquet"
    pq.write_table(pq.read_table(rows).drop_columns(["shard_checksums"]), rows)
    info = tmp_path / "old" / "dataset.json"
    info.write_text(info.read_text().replace('"1.2"', '"1.1"'))
    old = open_dataset(tmp_path / "old")
    assert all(len(clip.shard_checksums) == 0 for clip in old.clips)
    for found, expected in zip(read(old), read(dataset), strict=True):
        np.testing.assert_array_equal(found, expected)
