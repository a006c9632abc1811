"""A dataset's rows as columns, so that sums over thousands of clips are a few array operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.manifest import Clip

KMH_PER_MPS = 3.6
SPEED_STEPS_KMH = (0, 10, 30, 50, 80, 110)
"""Where one class of speed ends and the next begins."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Texts = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Columns:
    """C rows, and the F frames of all of them one after another. What is unknown is empty or NaN.

    Args:
        hours: (C,) length.
        frames: (C,) how many.
        usable: (C,).
        source, content, drive, vehicle, camera, split, reason: (C,); ``content`` is the source's sha256.
        day: (C,) UTC date of the first frame as YYYY-MM-DD.
        hour_of_day: (C,) UTC, 0 … 24.
        tags: (C,) for each tag that occurs.
        brightness, sharpness, motion: (C,) medians, see ``quality.FrameScores``.
        frame_row: (F,) the row of each frame.
        frame_speed_mps: (F,).
        frame_hours: (F,) the row's mean frame duration.
    """

    hours: Floats
    frames: NDArray[np.int64]
    usable: Flags
    source: Texts
    content: Texts
    drive: Texts
    vehicle: Texts
    camera: Texts
    split: Texts
    reason: Texts
    day: Texts
    hour_of_day: Floats
    tags: dict[str, Flags]
    brightness: Floats
    sharpness: Floats
    motion: Floats
    frame_row: NDArray[np.int64]
    frame_speed_mps: NDArray[np.float32]
    frame_hours: Floats

    def __len__(self) -> int:
        return len(self.hours)


def columns_of(clips: Sequence[Clip]) -> Columns:
    """The columns of some rows. Of the lists of frames only speed is gone through."""
    starts = [clip.start_time for clip in clips]
    hours = _floats([clip.duration_s / 3600 for clip in clips])
    frames = np.array([len(clip) for clip in clips], dtype=np.int64)
    present = sorted({tag for clip in clips for tag in clip.tags})
    return Columns(
        hours=hours,
        frames=frames,
        usable=np.array([clip.usable for clip in clips], dtype=bool),
        source=_texts([clip.source for clip in clips]),
        content=_texts([clip.source_sha256 for clip in clips]),
        drive=_texts([clip.drive for clip in clips]),
        vehicle=_texts([clip.vehicle for clip in clips]),
        camera=_texts([clip.camera for clip in clips]),
        split=_texts([clip.split for clip in clips]),
        reason=_texts([clip.reason for clip in clips]),
        day=_texts([f"{start:%Y-%m-%d}" if start else "" for start in starts]),
        hour_of_day=_floats([start.hour + start.minute / 60 if start else np.nan for start in starts]),
        tags={tag: np.array([tag in clip.tags for clip in clips], dtype=bool) for tag in present},
        brightness=_floats([clip.brightness for clip in clips]),
        sharpness=_floats([clip.sharpness for clip in clips]),
        motion=_floats([clip.motion for clip in clips]),
        frame_row=np.repeat(np.arange(len(clips)), frames),
        frame_speed_mps=np.concatenate([np.zeros(0, np.float32), *(clip.speed_mps for clip in clips)]),
        frame_hours=np.repeat(hours / np.maximum(frames, 1), frames),
    )


def _floats(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _texts(values: Sequence[str]) -> NDArray[Any]:
    return np.array(values, dtype=np.str_)
