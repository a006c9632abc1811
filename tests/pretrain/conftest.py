"""A dataset in memory, for tests of training that are not about files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.capture.clips import CorruptClip, Request
from catseye.capture.manifest import Clip
from catseye.pretrain import appearance_scenes, clip_sampler, probes

WIDTH, HEIGHT = 96, 64


@dataclass(frozen=True)
class Size:
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class MemoryDataset:
    """Stands in for a dataset whose clips are arrays; ``broken`` ones cannot be read."""

    clips: tuple[Clip, ...]
    pictures: dict[str, NDArray[np.uint8]]
    broken: frozenset[str] = frozenset()
    fingerprint: str = "f" * 64
    url: str = "memory"
    info: Size = Size()

    def select(self, *, split: str | None = None, usable: bool | None = True) -> tuple[Clip, ...]:
        return tuple(
            clip for clip in self.clips if split in (None, clip.split) and usable in (None, clip.usable)
        )


class MemoryReader:
    def __init__(self, dataset: MemoryDataset) -> None:
        self._dataset = dataset

    def read(self, clip: Clip, frames: Sequence[int]) -> NDArray[np.uint8]:
        if clip.clip_id in self._dataset.broken:
            raise CorruptClip(clip.clip_id)
        return self._dataset.pictures[clip.clip_id][list(frames)]

    def read_many(self, requests: Sequence[Request]) -> list[NDArray[np.uint8] | CorruptClip]:
        found: list[NDArray[np.uint8] | CorruptClip] = []
        for request in requests:
            try:
                found.append(self.read(request.clip, request.frames))
            except CorruptClip as error:
                found.append(error)
        return found


def make_clip(
    name: str, *, frames: int = 30, fps: int = 10, split: str = "train", speed: float = 5.0
) -> Clip:
    """A row whose frames are 1/fps apart."""
    pts = np.arange(frames, dtype=np.int64) * (90_000 // fps) + 1234
    flags = np.zeros(frames, dtype=bool)
    flags[::5] = True
    return Clip(
        clip_id=name,
        source=f"/footage/{name}.mp4",
        source_sha256="",
        drive=name,
        vehicle="",
        camera="",
        start_time=None,
        width=WIDTH,
        height=HEIGHT,
        time_base=Fraction(1, 90_000),
        pts=pts,
        durations=np.full(frames, 90_000 // fps, dtype=np.int64),
        key_flags=flags,
        shard=f"shards/{name}.mp4",
        shard_pts=pts,
        shard_key_flags=flags,
        tags=frozenset(),
        usable=True,
        reason="",
        split=split,
        speed_mps=np.full(frames, speed, dtype=np.float32),
        intrinsics=(0.9, 1.35, 0.5, 0.5),
        calibration_hash="",
        brightness=100.0,
        sharpness=100.0,
        motion=5.0,
    )


def drifting_picture(seed: int, *, frames: int = 30, shift: int = 2) -> NDArray[np.uint8]:
    """A random texture that slides by ``shift`` pixels a frame, (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 4, (WIDTH + frames * shift) // 4 + 1, 3), dtype=np.uint8)
    wide = coarse.repeat(4, axis=0).repeat(4, axis=1)
    return np.stack([wide[:, t * shift : t * shift + WIDTH] for t in range(frames)])


@pytest.fixture
def memory_dataset(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MemoryDataset]:
    """Makes a dataset of four drifting clips, the last one held out, after ``changes`` to its fields."""
    monkeypatch.setattr(clip_sampler, "ClipReader", MemoryReader)
    monkeypatch.setattr(probes, "ClipReader", MemoryReader)
    monkeypatch.setattr(appearance_scenes, "ClipReader", MemoryReader)

    def make(**changes: object) -> MemoryDataset:
        names = [f"clip-{k}" for k in range(4)]
        clips = tuple(make_clip(name, split="test" if name == names[-1] else "train") for name in names)
        pictures = {name: drifting_picture(k) for k, name in enumerate(names)}
        return replace(MemoryDataset(clips, pictures), **changes)  # type: ignore[arg-type]  # fields by name

    return make
