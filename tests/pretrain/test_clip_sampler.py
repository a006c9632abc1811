"""What is drawn, and that it is the same for every number of workers and processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from catseye.capture.ingestion import ingest
from catseye.errors import InputError, UsageError
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.clip_sampler import (
    ATTEMPTS,
    DEFAULT_FOCAL,
    ClipSamples,
    DrawOptions,
    clip_loader,
    draw_frames,
    has_motion,
    long_enough,
    network_intrinsics,
)

MakeDataset = Callable[..., Any]


def same(one: ClipBatch, two: ClipBatch) -> bool:
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, two, strict=True))


def make_samples(dataset, **options: object) -> ClipSamples:  # type: ignore[no-untyped-def]  # a stand-in
    return ClipSamples(dataset, dataset.select(split="train"), DrawOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("interval", [0.04, 0.1, 0.5])
def test_frames_rise_and_lie_near_the_stride(interval: float) -> None:
    times = np.arange(60, dtype=np.float64) * interval
    options = DrawOptions(shortest_s=0.08, longest_s=0.3)
    for seed in range(300):
        chosen = draw_frames(times, options, np.random.default_rng(seed))
        steps = np.diff(times[chosen])
        assert (np.diff(chosen) > 0).all() and chosen[0] >= 0 and chosen[-1] < 60
        assert steps.min() >= min(0.08 * 0.8, interval) - interval
        assert steps.max() <= max(0.3 * 1.2, interval) + interval


def test_strides_are_of_real_time_and_cover_the_range() -> None:
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 500))
    spans = [
        np.ptp(uneven[draw_frames(uneven, DrawOptions(), np.random.default_rng(seed))]) / 3
        for seed in range(500)
    ]
    assert 0.07 < min(spans) < 0.1
    assert 0.26 < max(spans) < 0.32
    assert np.median(spans) == pytest.approx(np.sqrt(0.08 * 0.3), rel=0.15)


def test_a_short_clip_is_used_as_far_as_it_goes() -> None:
    for seed in range(50):
        chosen = draw_frames(np.arange(4, dtype=np.float64) * 0.1, DrawOptions(), np.random.default_rng(seed))
        assert chosen.tolist() == [0, 1, 2, 3]


def test_batches_do_not_depend_on_workers_or_processes_or_where_a_run_resumed(
    memory_dataset: MakeDataset,
) -> None:
    samples = make_samples(memory_dataset())
    whole = list(clip_loader(samples, range(4), batch=4, workers=0))
    parallel = list(clip_loader(samples, range(4), batch=4, workers=2))
    resumed = list(clip_loader(samples, range(2, 4), batch=4, workers=0))
    halves = [list(clip_loader(samples, range(4), batch=2, workers=0, rank=rank, world=2)) for rank in (0, 1)]
    assert all(same(a, b) for a, b in zip(whole, parallel, strict=True))
    assert all(same(a, b) for a, b in zip(whole[2:], resumed, strict=True))
    for step in range(4):
        joined = torch.cat((halves[0][step].frames, halves[1][step].frames))
        assert torch.equal(joined, whole[step].frames)
    assert not same(whole[0], whole[1])


def test_a_sample_is_what_the_clip_holds(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset()
    batch = next(iter(clip_loader(make_samples(dataset, flip=False), range(1), batch=8, workers=0)))
    assert batch.frames.shape == (8, 4, 64, 96, 3)
    pictures = dataset.pictures
    for row, times in zip(batch.frames.numpy(), batch.times_s.numpy(), strict=True):
        found = [
            (name, first)
            for name in ("clip-0", "clip-1", "clip-2")
            for first in range(30)
            if np.array_equal(pictures[name][first], row[0])
        ]
        assert len(found) == 1  # and so never of the held-out clip
        name, first = found[0]
        frames = first + (times * 10).round().astype(int)
        assert np.array_equal(pictures[name][frames], row)
    assert (batch.speed_mps == 5).all()
    torch.testing.assert_close(batch.intrinsics[0], torch.tensor([0.9, 1.35, 0.5, 0.5]))


def test_shuffled_time_shows_the_same_frames_in_any_order(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset()
    plain, shuffled = (make_samples(dataset, flip=False, shuffle_time=told) for told in (False, True))
    moved = 0
    for index in range(12):
        one, other = plain[index], shuffled[index]
        assert torch.equal(one.times_s, other.times_s)
        places = [next(k for k in range(4) if torch.equal(one.frames[k], frame)) for frame in other.frames]
        assert sorted(places) == [0, 1, 2, 3]
        assert torch.equal(shuffled[index].frames, other.frames)
        moved += places != [0, 1, 2, 3]
    assert moved > 6


def test_a_sample_tells_where_its_frames_have_the_picture(memory_dataset: MakeDataset) -> None:
    """A clip of another shape lies in the middle as far as even pixels allow: mirrored, left and right
    margins change places."""

    def pictures(width: int, height: int) -> set[tuple[float, ...]]:
        clips = tuple(replace(clip, width=width, height=height) for clip in memory_dataset().clips)
        samples = make_samples(memory_dataset(clips=clips), flip=True).__getitems__(range(20))
        return {tuple((s.picture * torch.tensor([96, 64, 96, 64])).round().tolist()) for s in samples}

    assert pictures(96, 64) == {(0, 0, 96, 64)}
    assert pictures(1920, 1200) == {(0, 2, 96, 62)}
    assert pictures(1000, 920) == {(12, 0, 82, 64), (14, 0, 84, 64)}


def test_mirroring_moves_the_optical_centre(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset()
    clips = tuple(replace(clip, intrinsics=(0.9, 1.35, 0.4, 0.5)) for clip in dataset.clips)
    plain = make_samples(memory_dataset(clips=clips), flip=False)
    flipping = make_samples(memory_dataset(clips=clips), flip=True)
    flipped = 0
    for index in range(20):
        one, other = plain[index], flipping[index]
        if torch.equal(one.frames, other.frames):
            assert float(other.intrinsics[2]) == pytest.approx(0.4)
        else:
            flipped += 1
            assert torch.equal(one.frames.flip(2), other.frames)
            assert float(other.intrinsics[2]) == pytest.approx(0.6)
    assert 4 <= flipped <= 16


def test_unreadable_clips_are_passed_over_and_counted(memory_dataset: MakeDataset) -> None:
    samples = make_samples(memory_dataset(broken=frozenset({"clip-0"})))
    drawn = [samples[index] for index in range(30)]
    assert sum(int(sample.corrupt) for sample in drawn) > 3
    assert all(sample.frames.any() for sample in drawn)


def test_a_batch_is_read_in_one_go_and_then_what_was_unreadable(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset(broken=frozenset({"clip-0"}))
    samples = make_samples(dataset)
    alone = [samples[index] for index in range(12)]
    asked: list[int] = []

    class Noting(type(samples._reader)):  # type: ignore[misc]  # the stand-in's
        def read_many(self, requests):  # type: ignore[no-untyped-def]  # as the stand-in's
            asked.append(len(requests))
            return super().read_many(requests)

    clips, options = dataset.select(split="train"), DrawOptions()
    together = ClipSamples(dataset, clips, options, reader=Noting(dataset)).__getitems__(range(12))  # type: ignore[arg-type]
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    broken = [int(sample.corrupt) for sample in together]
    assert asked[:2] == [12, sum(count > 0 for count in broken)] and asked[1] > 0


def test_damaged_shards_are_counted_through_workers(road_world: Path, tmp_path: Path) -> None:
    dataset = ingest([road_world], tmp_path / "dataset", width=160, height=96, jobs=1)
    options = DrawOptions(flip=False)
    clips = [clip for clip in dataset.select() if long_enough(clip, options)]
    whole, damaged = ({clip.shard for clip in clips} - {clips[0].shard}), clips[0].shard
    (tmp_path / "dataset" / damaged).write_bytes(b"")
    samples = ClipSamples(dataset, clips, options)
    batches = list(clip_loader(samples, range(3), batch=4, workers=1))
    resumed = list(clip_loader(samples, range(1, 3), batch=4, workers=0))
    assert whole and sum(int(batch.corrupt.sum()) for batch in batches) > 0
    assert all(frames.any() for batch in batches for frames in batch.frames)
    assert all(same(one, other) for one, other in zip(batches[1:], resumed, strict=True))


def test_nothing_readable_is_told_by_the_count(memory_dataset: MakeDataset) -> None:
    samples = make_samples(memory_dataset(broken=frozenset({"clip-0", "clip-1", "clip-2"})))
    assert int(samples[0].corrupt) == ATTEMPTS


def test_spans_without_motion_are_passed_over(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset()
    pictures = dict(dataset.pictures)
    pictures["clip-0"] = pictures["clip-0"][:1].repeat(30, axis=0)
    samples = make_samples(memory_dataset(pictures=pictures))
    drawn = [samples[index] for index in range(30)]
    assert sum(int(sample.still) for sample in drawn) > 3
    assert all((sample.frames[0] != sample.frames[-1]).any() for sample in drawn)


def test_noise_is_no_motion_and_a_stopped_vehicle_is_still() -> None:
    rng = np.random.default_rng(0)
    noisy = (128 + rng.normal(0, 3, (4, 64, 96, 3))).clip(0, 255).astype(np.uint8)
    unknown, stopped = np.full(4, np.nan, np.float32), np.zeros(4, np.float32)
    assert not has_motion(noisy, unknown)
    moving = rng.integers(0, 256, (4, 8, 12, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    assert has_motion(moving, unknown)
    assert not has_motion(moving, stopped)


def test_unknown_intrinsics_have_square_pixels(memory_dataset: MakeDataset) -> None:
    clip = replace(memory_dataset().clips[0], intrinsics=None)
    fx, fy, cx, cy = network_intrinsics(clip, width=96, height=64)
    assert (fx, cx, cy) == (DEFAULT_FOCAL, 0.5, 0.5)
    assert fx * 96 == pytest.approx(fy * 64)


def test_intrinsics_to_be_learned_are_nan_and_given_ones_stay(memory_dataset: MakeDataset) -> None:
    dataset = memory_dataset()
    bare = tuple(replace(clip, intrinsics=None) for clip in dataset.clips)
    assert make_samples(memory_dataset(clips=bare), learn_intrinsics=True)[0].intrinsics.isnan().all()
    assert make_samples(memory_dataset(clips=bare))[0].intrinsics.isfinite().all()
    given = make_samples(dataset, learn_intrinsics=True, flip=False)[0].intrinsics
    assert given.tolist() == pytest.approx([0.9, 1.35, 0.5, 0.5])


def test_a_dataset_without_a_long_enough_clip_is_refused(memory_dataset: MakeDataset) -> None:
    with pytest.raises(InputError, match="no usable training clip"):
        make_samples(memory_dataset(clips=()))
    with pytest.raises(InputError, match="no usable training clip"):
        make_samples(memory_dataset(), shortest_s=2.0, longest_s=3.0)


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"shortest_s": 0.0}, {"shortest_s": 0.4, "longest_s": 0.3}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        DrawOptions(**wrong)  # type: ignore[arg-type]  # wrong on purpose
