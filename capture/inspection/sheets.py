"""Contact sheets: a few clips chosen for variety, and a small picture of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from catseye.capture.clips import ClipReader, CorruptClip
from catseye.capture.inspection.balance import DUSK_BELOW, NIGHT_BELOW
from catseye.capture.manifest import Clip
from catseye.progress import Progress

WIDEST_PX = 240
_QUALITY = 72


@dataclass(frozen=True)
class Thumbnail:
    """A clip and its middle frame as JPEG; empty, with the reason, where it cannot be read."""

    clip: Clip
    jpeg: bytes
    fault: str = ""


def choose_kept(clips: Sequence[Clip], *, most: int, seed: int) -> list[Clip]:
    """Usable clips of different cameras, drives and light."""
    kept = [clip for clip in clips if clip.usable and clip.shard]
    return spread(kept, lambda clip: (clip.camera, _light(clip), clip.drive), most=most, seed=seed)


def choose_set_aside(clips: Sequence[Clip], *, most: int, seed: int) -> list[Clip]:
    """Clips set aside for different reasons, of different drives, as far as there are pictures of them."""
    aside = [clip for clip in clips if not clip.usable and clip.shard and len(clip)]
    return spread(aside, lambda clip: (clip.reason, clip.drive), most=most, seed=seed)


def spread(
    clips: Sequence[Clip], kind: Callable[[Clip], tuple[Hashable, ...]], *, most: int, seed: int
) -> list[Clip]:
    """Take turns among kinds: first among the values of the first part, then of the next.

    Returns:
        At most ``most`` clips, the same for the same seed, in the order of their kinds.
    """
    order = np.random.default_rng(seed).permutation(len(clips)).tolist()
    taken: dict[tuple[Hashable, ...], int] = {}
    ranked = []
    for index in order:
        parts = kind(clips[index])
        rank = []
        for depth in range(1, len(parts) + 1):
            rank.append(taken.get(parts[:depth], 0))
            taken[parts[:depth]] = rank[-1] + 1
        # A clip comes late where many of its innermost kind, and then of the outer ones, came before.
        ranked.append((tuple(reversed(rank)), index))
    chosen = [index for _, index in sorted(ranked)[:most]]
    return [clips[index] for index in sorted(chosen, key=lambda index: (repr(kind(clips[index])), index))]


def thumbnails(reader: ClipReader, clips: Sequence[Clip], *, progress: Progress) -> list[Thumbnail]:
    """Read the middle frame of each clip; one that is damaged says so instead."""
    found = {}
    for number, clip in enumerate(sorted(clips, key=lambda clip: (clip.shard, clip.shard_pts[0]))):
        progress("contact sheets", number, len(clips))
        found[clip.clip_id] = _thumbnail(reader, clip)
    progress("contact sheets", len(clips), len(clips))
    return [found[clip.clip_id] for clip in clips]


def _thumbnail(reader: ClipReader, clip: Clip) -> Thumbnail:
    try:
        rgb = reader.read(clip, [len(clip) // 2])[0]
    except CorruptClip as error:
        return Thumbnail(clip, b"", str(error))
    height, width = rgb.shape[:2]
    if width > WIDEST_PX:
        size = (WIDEST_PX, max(1, round(height * WIDEST_PX / width)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return Thumbnail(clip, cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())


def _light(clip: Clip) -> int:
    return int(np.digitize(clip.brightness, (NIGHT_BELOW, DUSK_BELOW)))
