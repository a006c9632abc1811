"""Reading frames out of shards. Every frame carries its number, so that a wrong one is seen."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from catseye.capture import shards
from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.exact_video import ExactVideo
from catseye.capture.geometry import PAD_VALUE, Image, letterbox, planes_to_network
from catseye.capture.ingestion import ingest
from catseye.capture.sources import VideoFile

Number = Callable[[Image], int]


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> Dataset:
    """Three videos, one with a gap and a rate that changes, cut into clips of three seconds or so."""
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "a.mp4", moving(1), range(0, 8000, 40))
    pts = [*range(500, 4000, 50), *range(4000, 8000, 110), *range(20_000, 24_000, 33)]
    write_video(folder / "b.mkv", moving(2), pts, b_frames=2)
    write_video(folder / "c.mp4", moving(3), range(0, 4000, 40))
    return ingest([folder], folder / "dataset", width=160, height=96, jobs=1, max_clip_s=3)


def first_number(clip: Any) -> int:
    """Ids end in the place of the first frame in the source, which is its number."""
    return int(clip.clip_id.rsplit("-", 1)[1])


def check(reader: ClipReader, clip: Any, frames: list[int], number_of: Number) -> None:
    found = reader.read(clip, frames)
    assert found.shape == (len(frames), 96, 160, 3) and found.dtype == np.uint8
    assert [number_of(rgb) - first_number(clip) for rgb in found] == frames


def test_every_frame_of_every_clip_is_the_right_one(dataset: Dataset, number_of: Number) -> None:
    reader = ClipReader(dataset)
    assert len(dataset.clips) >= 7 and len({clip.shard for clip in dataset.clips}) == 3
    for clip in dataset.clips:
        check(reader, clip, list(range(len(clip))), number_of)


def test_random_reads_in_any_order_and_with_repeats(dataset: Dataset, number_of: Number) -> None:
    rng = np.random.default_rng(0)
    reader = ClipReader(dataset, max_open=2)
    for _ in range(60):
        clip = dataset.clips[rng.integers(len(dataset.clips))]
        check(reader, clip, rng.integers(0, len(clip), 4).tolist(), number_of)


def test_it_seeks_only_where_a_key_frame_is_nearer(
    dataset: Dataset, number_of: Number, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seeks = ExactVideo._start, []

    def noted(self: ExactVideo, key: int) -> None:
        seeks.append(key)
        start(self, key)

    monkeypatch.setattr(ExactVideo, "_start", noted)
    clip = dataset.clips[0]
    assert clip.shard_key_flags.nonzero()[0].tolist() == [0, 25, 50]
    reader = ClipReader(dataset)
    for frames in ([2, 3], [3], [5, 24], [24, 26, 40], [60], [len(clip) - 1], [len(clip) - 1], [1]):
        check(reader, clip, frames, number_of)
    keys = [0, 0, 0, 25, 50, 50, 0]
    assert seeks == [clip.shard_pts[key] for key in keys]


def test_many_clips_are_read_in_the_order_asked_for(dataset: Dataset, number_of: Number) -> None:
    rng = np.random.default_rng(3)
    clips = [dataset.clips[place] for place in rng.integers(len(dataset.clips), size=20)]
    requests = [Request(clip, rng.integers(0, len(clip), 3).tolist()) for clip in clips]
    requests.append(Request(clips[0], []))
    reader = ClipReader(dataset, max_open=1)
    for request, found in zip(requests, reader.read_many(requests), strict=True):
        np.testing.assert_array_equal(found, reader.read(request.clip, request.frames))
    with pytest.raises(IndexError, match="frames: not all of"):
        reader.read_many([Request(clips[0], [0]), Request(clips[1], [10_000])])


def test_clips_of_one_group_share_its_decoding(
    dataset: Dataset, number_of: Number, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seeks = ExactVideo._start, []
    monkeypatch.setattr(ExactVideo, "_start", lambda self, key: (seeks.append(key), start(self, key)))
    clip, other = dataset.clips[0], dataset.clips[-1]
    wanted = [(clip, [20, 3]), (other, [5]), (clip, [7, 3, 21]), (clip, [30]), (clip, [1])]
    found = ClipReader(dataset).read_many([Request(*one) for one in wanted])
    for (row, frames), pictures in zip(wanted, found, strict=True):
        assert not isinstance(pictures, CorruptClip)
        assert [number_of(rgb) - first_number(row) for rgb in pictures] == frames
    assert len(seeks) == 3


def test_open_shards_are_few(dataset: Dataset) -> None:
    reader = ClipReader(dataset, max_open=2)
    for clip in dataset.clips:
        reader.read(clip, [0])
        assert len(reader._videos) <= 2
    reader.close()
    assert not reader._videos
    reader.read(dataset.clips[0], [0])
    with pytest.raises(ValueError, match="max_open 0"):
        ClipReader(dataset, max_open=0)


def test_no_frames_and_frames_that_are_not_there(dataset: Dataset) -> None:
    reader = ClipReader(dataset)
    clip = dataset.clips[0]
    assert reader.read(clip, []).shape == (0, 96, 160, 3)
    for frames in ([len(clip)], [-1], [0, 10_000]):
        with pytest.raises(IndexError, match=f"has {len(clip)} frames"):
            reader.read(clip, frames)


def test_a_pickled_reader_opens_shards_of_its_own(dataset: Dataset, number_of: Number) -> None:
    reader = ClipReader(dataset)
    check(reader, dataset.clips[0], [1, 2], number_of)
    again = pickle.loads(pickle.dumps(reader))
    assert not again._videos
    check(again, dataset.clips[0], [3], number_of)
    check(reader, dataset.clips[0], [4], number_of)


def _read_in_child(reader: ClipReader, clip: Any, answers: Any) -> None:
    answers.put((reader.read(clip, [30, 31]), len(reader._videos), reader._owner))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_mid_read_disturbs_neither_side(dataset: Dataset, number_of: Number) -> None:
    reader, clip = ClipReader(dataset), dataset.clips[0]
    check(reader, clip, [10], number_of)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_read_in_child, args=(reader, clip, answers))
    child.start()
    found, opened, owner = answers.get(timeout=30)
    child.join(timeout=30)
    assert [number_of(rgb) for rgb in found] == [30, 31]
    assert opened == 1 and owner == child.pid != os.getpid()
    check(reader, clip, [11, 12], number_of)


def test_damage_is_an_error_that_names_the_clip_and_spares_the_others(
    dataset: Dataset, tmp_path: Path, number_of: Number
) -> None:
    shutil.copytree(dataset.url, tmp_path / "damaged")
    damaged = open_dataset(tmp_path / "damaged")
    names = sorted({clip.shard for clip in damaged.clips})
    gone, cut, whole = names
    (tmp_path / "damaged" / gone).unlink()
    path = tmp_path / "damaged" / cut
    path.write_bytes(path.read_bytes()[:1000])
    reader = ClipReader(damaged)
    for clip in damaged.clips:
        if clip.shard == whole:
            check(reader, clip, [0, 3], number_of)
            continue
        with pytest.raises(CorruptClip, match=f"clip {clip.clip_id} in .*{clip.shard}"):
            reader.read(clip, [0, 3])
    clip = damaged.select()[-1]
    off = replace(clip, shard=whole, shard_pts=clip.shard_pts + 1)
    with pytest.raises(CorruptClip, match="has no whole frame at pts"):
        reader.read(off, [0])
    with pytest.raises(CorruptClip, match="has no whole frame at pts"):
        reader.read(replace(off, shard_pts=clip.shard_pts + 10**9), [0])


def test_a_lost_span_spares_what_lies_around_it(dataset: Dataset, tmp_path: Path, number_of: Number) -> None:
    shutil.copytree(dataset.url, tmp_path / "damaged")
    damaged = open_dataset(tmp_path / "damaged")
    clip = damaged.clips[0]
    path = tmp_path / "damaged" / clip.shard
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    lost = [packet for packet in packets if clip.shard_pts[25] <= packet.pts < clip.shard_pts[35]]
    content = bytearray(path.read_bytes())
    for packet in lost:
        content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    requests = [Request(clip, frames) for frames in ([0, 24], [20, 26], [40], [50, 60])]
    whole, cut, behind, after = ClipReader(damaged).read_many(requests)
    assert isinstance(cut, CorruptClip) and isinstance(behind, CorruptClip)
    assert not isinstance(whole, CorruptClip) and not isinstance(after, CorruptClip)
    assert [number_of(rgb) for rgb in (*whole, *after)] == [0, 24, 50, 60]


def test_a_clip_without_frames_has_none_to_read(dataset: Dataset) -> None:
    from catseye.capture.ingest_file import set_aside

    with pytest.raises(IndexError, match="has 0 frames"):
        ClipReader(dataset).read(set_aside("a.mp4", "00" * 32, "unreadable", "is no video"), [0])


def test_a_shard_gives_what_the_source_gives(
    tmp_path: Path,
    write_video: Callable[..., Path],
    moving: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same network frame by either way, within the codec's loss, and the same border exactly."""
    monkeypatch.setattr(shards, "CRF", 4)
    picture = moving(5)

    def tall(i: int) -> Image:
        return np.concatenate([picture(i), picture(i + 200)])

    for name, meaning in (
        ("a", {"matrix": "bt601"}),
        ("b", {"matrix": "bt709"}),
        ("c", {"matrix": "bt601", "full_range": True}),
    ):
        path = write_video(tmp_path / f"{name}.mp4", tall, range(0, 2000, 40), **meaning)
        dataset = ingest([path], tmp_path / f"dataset-{name}", width=160, height=96, jobs=1)
        frames = [0, 13, 14, 40]
        found = ClipReader(dataset).read(dataset.clips[0], frames).astype(int)
        with VideoFile(path) as video:
            box = letterbox(160, 192, 160, 96)
            direct = np.stack([planes_to_network(frame.planes, box) for frame in video.frames()])[frames]
        assert np.abs(found - direct).mean() < 1.5
        inside = np.s_[:, :, box.left : box.left + box.scaled_width]
        border = np.ones(found.shape, bool)
        border[inside] = False
        assert border.any() and (found[border] == PAD_VALUE).all()


def test_a_rendered_world_reads(road_world: Path, tmp_path: Path) -> None:
    dataset = ingest([road_world], tmp_path / "dataset", width=160, height=96, jobs=1)
    usable = dataset.select()
    assert usable and all(clip.intrinsics is not None for clip in usable)
    assert all(np.isfinite(clip.speed_mps).all() for clip in usable)
    reader = ClipReader(dataset)
    assert all(reader.read(clip, [0, len(clip) - 1]).std() > 5 for clip in usable)
