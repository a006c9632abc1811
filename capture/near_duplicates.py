"""The same footage twice under other bytes: encoded again, rescaled, cut, or at another frame rate.

Five times a second of the source's clock a picture is hashed twice. The *spatial* hash says for 8×8 pairs of
neighbouring cells which is the brighter (dHash, N. Krawetz 2013). The *temporal* one says of 8×8 cells which
have become brighter since the sample before. The first finds the place: it hardly changes by encoding again.
The second tells apart what looks alike: one part of a highway has the layout of another, and not its changes.

Measured on dashcam clips: the same footage at half the size, 15 instead of 25 frames a second, cut at another
moment and at CRF 33, differs in 0.12 of the bits, at worst in 0.17 over 1.2 s; the most alike of different
parts of the same highways and roads in 0.23 over 5 s and in 0.19 over 1.2 s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.manifest import Clip
from catseye.capture.resampling import resize_plane

SAMPLE_S = 0.2
MAX_DISTANCE = 0.17
"""Share of bits in which two stretches of the same footage may differ."""

MIN_OVERLAP = 0.5
"""A clip is set aside where at least this share of it is in the other file."""

_MIN_SAMPLES = 5
_MAX_REPEATS = 5
_MAX_PLACES = 64
_CANDIDATES = 8


@dataclass(frozen=True)
class Sample:
    """Hashes of a picture, and its place on the grid of ``SAMPLE_S`` on the source's clock."""

    at: int
    spatial: int
    temporal: int


class SceneHasher:
    """Hashes the frames of one file in order."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._cells: NDArray[np.float32] | None = None

    def samples(self, luma: Image, *, time_s: float) -> list[Sample]:
        """The samples that a frame stands for: none between two places of the grid, several where frames
        are rare.

        Args:
            luma: (H, W) uint8.
            time_s: on the source's clock, never negative for long.
        """
        place = floor(time_s / SAMPLE_S + 1e-6)
        if self._last is not None and place == self._last:
            return []
        count = 1 if self._last is None or place < self._last else min(place - self._last, _MAX_REPEATS)
        # Few pixels first: the odd ratio takes ten times as long for all of them.
        few = resize_plane(luma, (max(9, luma.shape[1] // 4), max(8, luma.shape[0] // 4)))
        pairs = cv2.resize(few, (9, 8), interpolation=cv2.INTER_AREA)
        cells = np.asarray(
            cv2.resize(few.astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA), dtype=np.float32
        )
        before = cells if self._cells is None else self._cells
        spatial, temporal = _word(pairs[:, 1:] > pairs[:, :-1]), _word(cells > before)
        self._last, self._cells = place, cells
        return [Sample(at, spatial, temporal) for at in range(place - count + 1, place + 1)]


def to_columns(samples: Sequence[Sample]) -> tuple[NDArray[np.uint64], int]:
    """``Clip.scene_hashes`` and ``Clip.scene_start`` of a clip's samples."""
    words = [word for sample in samples for word in (sample.spatial, sample.temporal)]
    return np.array(words, dtype=np.uint64), samples[0].at if samples else 0


def find_near_duplicates(clips: Iterable[Clip]) -> dict[str, Clip]:
    """For the id of each clip that is in another file too, the clip there that came first.

    Args:
        clips: in order of precedence; those set aside for other reasons are not to be among them.
    """
    known = _Known()
    found: dict[str, Clip] = {}
    for clip in clips:
        words = np.asarray(clip.scene_hashes, dtype=np.uint64).reshape(-1, 2)
        if len(words) < _MIN_SAMPLES or np.count_nonzero(words[:, 1]) < len(words) / 2:
            continue  # too short, or nothing in it changes
        first = known.same(clip, words)
        if first is not None:
            found[clip.clip_id] = first
        else:
            known.add(clip, words)
    return found


@dataclass
class _File:
    """Samples kept of one source, by place, and the clip that each is of."""

    sha256: str
    words: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    clips: dict[int, Clip] = field(default_factory=dict)


class _Known:
    """What is kept so far, found again by halves of the spatial hash, of which one mostly is unchanged."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._places: dict[tuple[int, int], list[tuple[_File, int]]] = {}

    def add(self, clip: Clip, words: NDArray[np.uint64]) -> None:
        file = self._files.setdefault(clip.source_sha256, _File(clip.source_sha256))
        for at, word in enumerate(words, start=clip.scene_start):
            file.words[at], file.clips[at] = word, clip
            for half in _halves(int(word[0])):
                places = self._places.setdefault(half, [])
                if len(places) < _MAX_PLACES:  # what many pictures share tells nothing
                    places.append((file, at))

    def same(self, clip: Clip, words: NDArray[np.uint64]) -> Clip | None:
        """The clip of another file that a clip repeats, or None."""
        votes: Counter[tuple[str, int]] = Counter()
        for at, word in enumerate(words, start=clip.scene_start):
            for half in _halves(int(word[0])):
                for file, place in self._places.get(half, ()):
                    if file.sha256 != clip.source_sha256:
                        votes[file.sha256, place - at] += 1
        for (sha, offset), _ in votes.most_common(_CANDIDATES):
            file = self._files[sha]
            places = range(clip.scene_start + offset, clip.scene_start + offset + len(words))
            shared = [(own, place) for own, place in enumerate(places) if place in file.words]
            if len(shared) < max(_MIN_SAMPLES, MIN_OVERLAP * len(words)):
                continue
            theirs = np.stack([file.words[place] for _, place in shared])
            if _distance(words[[own for own, _ in shared]], theirs) <= MAX_DISTANCE:
                return file.clips[shared[len(shared) // 2][1]]
        return None


def _halves(word: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, word & 0xFFFFFFFF), (1, word >> 32)


def _word(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    """Share of bits that differ."""
    return float(np.unpackbits(np.ascontiguousarray(a ^ b).view(np.uint8)).mean())
