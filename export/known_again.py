"""Rank-1 of the embeddings that an engine gives: is a vehicle's most alike of all others the same one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catseye.export.held_out import HeldOutClip
from catseye.pretrain.boxes import overlaps
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.pseudo_tracks import LinkOptions, PseudoTracks, link
from catseye.pretrain.retrieval_metrics import Retrieval, retrieval

_SAME_BOX = 0.5
_AGAIN_S = 0.5

Sights = Sequence[tuple[Detections, NDArray[np.float32]]]
"""Of each frame of a clip what was detected, in network pixels, and the descriptors (K, E) of that."""


def known_again(
    clips: Sequence[HeldOutClip], found: Sequence[Sights], reference: Sequence[Sights], *, threshold: float
) -> Retrieval:
    """Seek each vehicle half a second or more away, among all that are certainly others.

    A vehicle's descriptor is that of the detection that overlaps it best, by an IoU of 0.5 or more; one that
    is not detected is not sought. Which boxes are the same vehicle is as a truth says, or else as ``link``
    does of the reference's detections that have a score of ``threshold``, so that all engines are asked for
    the same ones.
    """
    numbers, times, drives, looks = [], [], [], []
    apart: list[NDArray[np.bool_]] = []
    for clip, sights, before in zip(clips, found, reference, strict=True):
        tracks = _pseudo_tracks(clip, before, threshold) if clip.tracks is None else clip.tracks
        rows, descriptors = _descriptors(tracks, sights)
        numbers.append(tracks.tracks[rows] + sum(len(known) for known in apart))
        times.append(clip.times_s[tracks.frames[rows]])
        drives += [clip.drive] * len(rows)
        looks.append(descriptors)
        apart.append(tracks.apart())
    number, time_s, drive = np.concatenate(numbers), np.concatenate(times), np.array(drives)
    same = number[:, None] == number
    other = _block_diagonal(apart)[np.ix_(number, number)] | (drive[:, None] != drive)
    later = np.abs(time_s[:, None] - time_s) >= _AGAIN_S - 1e-6
    told = np.concatenate(looks)
    return retrieval(told @ told.T, same, (same & later) | other)


def _pseudo_tracks(clip: HeldOutClip, sights: Sights, threshold: float) -> PseudoTracks:
    options = LinkOptions(threshold=threshold)
    return link([each for each, _ in sights], range(len(sights)), clip.times_s.tolist(), options)


def _descriptors(tracks: PseudoTracks, sights: Sights) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows of the tracks' boxes that were detected, and the descriptors (M, E) of those."""
    rows, descriptors = [], [np.empty((0, sights[0][1].shape[1]), np.float32)]
    for row, (frame, box) in enumerate(zip(tracks.frames.tolist(), tracks.boxes, strict=True)):
        detections, looks = sights[frame]
        overlap = overlaps(box[None], detections.boxes)[0]
        if overlap.max(initial=0) >= _SAME_BOX:
            rows.append(row)
            descriptors.append(looks[[int(overlap.argmax())]])
    return np.array(rows, dtype=np.int64), np.concatenate(descriptors)


def _block_diagonal(blocks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    size = sum(len(block) for block in blocks)
    joined = np.zeros((size, size), dtype=np.bool_)
    start = 0
    for block in blocks:
        joined[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return joined
