"""From a dataset to batches of short frame sequences, the same whatever the number of workers.

Sample number ``index`` of a run is a pure function of the dataset, the options and the seed. So a run resumed
at any step sees what it would have seen, and N processes see N different parts of one sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset as ClipDataset
from catseye.capture.frame_reader import CorruptClip, FrameReader, Request
from catseye.capture.geometry import Image, letterbox
from catseye.capture.manifest import Clip
from catseye.errors import InputError, UsageError
from catseye.pretrain.clip_batch import ClipBatch

ATTEMPTS = 8
"""How many draws in a row may be unreadable or still before a sample is given up or taken as it is."""

DEFAULT_FOCAL = 0.9
"""Focal length in image widths where no calibration tells it: a lens of 58° across, common in dashcams."""

_STILL_LEVELS = 1.0
_STILL_SPEED_MPS = 0.5
_SPACING_JITTER = 0.1


@dataclass(frozen=True)
class DrawOptions:
    """How sequences are drawn.

    Args:
        frames: T, the length of a sequence.
        shortest_s, longest_s: bounds of the time between neighbouring frames, drawn log-uniformly once a
            sequence, with a tenth of it as jitter.
        flip: mirror half of the sequences left to right.
        seed: of every draw.
        learn_intrinsics: leave intrinsics NaN where no calibration tells them, for a task to learn.
        shuffle_time: show the frames of a sequence in any order beside times that still rise: a control, in
            which time teaches nothing.

    Raises:
        UsageError: a bound cannot be.
    """

    frames: int = 4
    shortest_s: float = 0.08
    longest_s: float = 0.3
    flip: bool = True
    seed: int = 0
    learn_intrinsics: bool = False
    shuffle_time: bool = False

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise UsageError(f"frames {self.frames}: a sequence has at least 2")
        if not 0 < self.shortest_s <= self.longest_s:
            raise UsageError(f"stride {self.shortest_s}…{self.longest_s} s: needs 0 < shortest ≤ longest")


@dataclass
class _Drawn:
    """A sample in the making: what was drawn last and could be read, and what was passed over before."""

    clip: Clip
    chosen: NDArray[np.int64]
    frames: Image | None = None
    flip: bool = False
    corrupt: int = 0
    still: int = 0


class ClipSamples(Dataset[ClipBatch]):
    """Sample ``index`` as a ``ClipBatch`` without its batch dimension.

    Args:
        dataset: the reader opens its files in the process that first asks for a sample.
        clips: those to draw from.
        reader: where frames come from; without it, the dataset's shards.

    Raises:
        InputError: no clip is long enough.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        clips: Sequence[Clip],
        options: DrawOptions,
        *,
        reader: FrameReader | None = None,
    ) -> None:
        self.options = options
        self.clips = tuple(clip for clip in clips if long_enough(clip, options))
        if not self.clips:
            raise InputError(
                dataset.url,
                f"has no usable training clip of {options.frames} frames over "
                f"{(options.frames - 1) * options.shortest_s:.2f} s",
                "ingest more footage, or look at what was set aside and why",
            )
        self._size = (dataset.info.height, dataset.info.width)
        self._reader = reader or ClipReader(dataset)
        self._ends = np.cumsum([len(clip) for clip in self.clips])

    def __getitem__(self, index: int) -> ClipBatch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[ClipBatch]:
        """Draw each sample until it can be read and has motion; a round of draws is read in one go.

        After ``ATTEMPTS`` a still sequence is taken as it is; if none could be read the frames are zero and
        ``corrupt`` is ``ATTEMPTS``, because an error raised in a worker loses its type on the way.
        """
        nothing = np.zeros(self.options.frames, dtype=np.int64)
        samples = [_Drawn(self.clips[0], nothing) for _ in indices]
        pending = list(zip(samples, indices, strict=True))
        for attempt in range(ATTEMPTS):
            draws = [self._draw(index, attempt) for _, index in pending]
            found = self._reader.read_many([Request(clip, chosen.tolist()) for clip, chosen, _ in draws])
            again = []
            for (sample, index), draw, pictures in zip(pending, draws, found, strict=True):
                if isinstance(pictures, CorruptClip):
                    sample.corrupt += 1
                else:
                    sample.clip, sample.chosen, sample.flip = draw
                    sample.frames = pictures
                    if has_motion(pictures, sample.clip.speed_mps[sample.chosen]):
                        continue
                    sample.still += 1
                again.append((sample, index))
            pending = again
            if not pending:
                break
        return [_to_batch(sample, self.options, size=self._size) for sample in samples]

    def _draw(self, index: int, attempt: int) -> tuple[Clip, NDArray[np.int64], bool]:
        """A clip, the indices of its frames, and whether they are mirrored."""
        rng = np.random.default_rng((self.options.seed, index, attempt))
        clip = self.clips[int(np.searchsorted(self._ends, rng.integers(self._ends[-1]), side="right"))]
        chosen = draw_frames(clip.times_s, self.options, rng)
        return clip, chosen, self.options.flip and bool(rng.random() < 0.5)


def long_enough(clip: Clip, options: DrawOptions) -> bool:
    """Whether a clip has the frames and the seconds of the shortest sequence."""
    shortest = (options.frames - 1) * options.shortest_s
    return len(clip) >= options.frames and float(clip.times_s[-1]) >= shortest * (1 - 1e-6)


def draw_frames(
    times_s: NDArray[np.float64], options: DrawOptions, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices (T,), rising, of frames nearest to evenly spaced times.

    Args:
        times_s: (N,) seconds from the first frame, N ≥ T. Where frames are sparser than the drawn stride,
            neighbours are taken.
    """
    count, total = len(times_s), options.frames
    low, high = np.log(options.shortest_s), np.log(options.longest_s)
    stride = min(float(np.exp(rng.uniform(low, high))), float(times_s[-1]) / (total - 1))
    start = rng.uniform(0, max(0.0, float(times_s[-1]) - stride * (total - 1)))
    jitter = rng.uniform(-_SPACING_JITTER, _SPACING_JITTER, total)
    wanted = start + stride * (np.arange(total) + jitter)
    middles = (times_s[1:] + times_s[:-1]) / 2
    indices = np.searchsorted(middles, wanted)
    rank = np.arange(total)
    rising = np.maximum.accumulate(indices - rank) + rank
    return np.minimum(rising, count - total + rank).astype(np.int64)


def has_motion(frames: Image, speed_mps: NDArray[np.float32]) -> bool:
    """Whether the camera moves, by its speed where it is known, and the picture changes beyond its noise."""
    if np.isfinite(speed_mps).all() and speed_mps.mean() < _STILL_SPEED_MPS:
        return False
    size = (max(1, frames.shape[2] // 8), max(1, frames.shape[1] // 8))
    first, last = (
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for picture in (frames[0], frames[-1])
    )
    return float(np.abs(first - last).mean()) >= _STILL_LEVELS


def network_intrinsics(clip: Clip, *, width: int, height: int) -> tuple[float, float, float, float]:
    """(fx/W, fy/H, cx/W, cy/H) of a clip, or those of ``DEFAULT_FOCAL`` with square pixels."""
    known = calibrated_intrinsics(clip)
    return known or (DEFAULT_FOCAL, DEFAULT_FOCAL * width / height, 0.5, 0.5)


def network_picture(clip: Clip, *, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a clip's picture in its network frame, in units of the frame's size."""
    box = letterbox(clip.width, clip.height, width, height)
    right, bottom = box.left + box.scaled_width, box.top + box.scaled_height
    return box.left / width, box.top / height, right / width, bottom / height


def calibrated_intrinsics(clip: Clip) -> tuple[float, float, float, float] | None:
    """(fx/W, fy/H, cx/W, cy/H) of a clip where a calibration tells them."""
    if clip.intrinsics is None or not np.isfinite(clip.intrinsics).all():
        return None
    fx, fy, cx, cy = clip.intrinsics
    return float(fx), float(fy), float(cx), float(cy)


def clip_loader(
    samples: ClipSamples,
    batches: range,
    *,
    batch: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[ClipBatch]:
    """Batches of these numbers, of ``batch`` samples each, for process ``rank`` of ``world``."""
    return DataLoader(
        samples,
        batch_sampler=_Slots(batches, batch, rank, world),
        num_workers=workers,
        worker_init_fn=_single_threaded,
        pin_memory=torch.cuda.is_available(),
    )


class _Slots(Sampler[list[int]]):
    def __init__(self, batches: range, batch: int, rank: int, world: int) -> None:
        self._batches = batches
        self._batch, self._rank, self._world = batch, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._batches:
            first = (number * self._world + self._rank) * self._batch
            yield list(range(first, first + self._batch))

    def __len__(self) -> int:
        return len(self._batches)


def _single_threaded(worker: int) -> None:
    # OpenCV's thread pool does not survive the fork that made this worker.
    cv2.setNumThreads(0)


def _to_batch(sample: _Drawn, options: DrawOptions, *, size: tuple[int, int]) -> ClipBatch:
    height, width = size
    clip, chosen, frames = sample.clip, sample.chosen, sample.frames
    if frames is None:
        frames = np.zeros((len(chosen), height, width, 3), dtype=np.uint8)
    fx, fy, cx, cy = network_intrinsics(clip, width=width, height=height)
    if options.learn_intrinsics and calibrated_intrinsics(clip) is None:
        fx = fy = cx = cy = np.nan
    left, top, right, bottom = network_picture(clip, width=width, height=height)
    if options.shuffle_time:
        frames = frames[np.random.default_rng((options.seed, *chosen)).permutation(len(frames))]
    if sample.flip:
        frames, cx = np.ascontiguousarray(frames[:, :, ::-1]), 1 - cx
        left, right = 1 - right, 1 - left
    times = clip.times_s[chosen] - clip.times_s[chosen[0]]
    return ClipBatch(
        frames=torch.from_numpy(frames),
        times_s=torch.from_numpy(times.astype(np.float32)),
        speed_mps=torch.from_numpy(clip.speed_mps[chosen].astype(np.float32)),
        intrinsics=torch.tensor([fx, fy, cx, cy], dtype=torch.float32),
        picture=torch.tensor([left, top, right, bottom], dtype=torch.float32),
        corrupt=torch.tensor(sample.corrupt),
        still=torch.tensor(sample.still),
    )
