"""Frames of a dataset to look at, and what an encoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.capture.manifest import Clip
from catseye.pretrain.collapse import CollapseFigures, collapse_figures, position_vectors
from catseye.pretrain.encoder import Encoder, to_rgb
from catseye.pretrain.tasks.future import normalised
from catseye.progress import Progress

_CHUNK = 8
_FINE, _COARSE = 1, 2
_VECTORS_A_FRAME = 64
_SHOWN = 6


@dataclass(frozen=True)
class Frame:
    """One frame of a clip: its number there, and its picture (H, W, 3) uint8."""

    clip: Clip
    index: int
    rgb: Image

    @property
    def caption(self) -> str:
        return f"{self.clip.drive}, {float(self.clip.times_s[self.index]):.1f} s"


@dataclass(frozen=True)
class Gallery:
    """Frames spread over usable clips: first those of the split that is measured, then some of the others."""

    frames: tuple[Frame, ...]
    of_split: int

    @property
    def shown(self) -> list[int]:
        """The few of the split that all runs are shown with."""
        spread = np.linspace(0, self.of_split - 1, _SHOWN).round().astype(int)
        return [int(index) for index in np.unique(spread)]


@dataclass(frozen=True)
class Features:
    """What an encoder makes of a gallery.

    Args:
        pooled: (N, C) mean over places of the layer-normalised map at stride 16, one a frame.
        maps: (S, C, h, w) maps at strides 8 and 16 together, of the frames shown, enlarged to twice their
            size: those of a small network frame show little.
        collapse: of that map's vectors, of the split's frames.
    """

    pooled: Tensor
    maps: Tensor
    collapse: CollapseFigures


def read_gallery(dataset: Dataset, *, split: str, most: int = 64, progress: Progress) -> Gallery:
    """Read at most ``most`` frames of the split and as many of the others, evenly spread.

    Raises:
        CorruptClip: a clip cannot be read.
    """
    inside = dataset.select(split=split)
    others = [clip for clip in dataset.select() if clip.split != split]
    reader = ClipReader(dataset)
    frames: list[Frame] = []
    of_split = 0
    for clips in (_evenly(inside, most), _evenly(others, most)):
        for clip in clips:
            wanted = np.linspace(0, len(clip) - 1, most // len(clips) + 2)[1:-1].round().astype(int)
            wanted = np.unique(wanted)
            pictures = reader.read(clip, wanted.tolist())
            frames += [Frame(clip, index, rgb) for index, rgb in zip(wanted.tolist(), pictures, strict=True)]
            progress("frames", len(frames), 2 * most)
        of_split = of_split or len(frames)
    return Gallery(tuple(frames), of_split)


@torch.no_grad()
def frame_features(encoder: Encoder, gallery: Gallery) -> Features:
    """Encode a gallery's frames with an encoder in evaluation mode."""
    pooled, vectors = [], []
    for first in range(0, len(gallery.frames), _CHUNK):
        pictures = np.stack([frame.rgb for frame in gallery.frames[first : first + _CHUNK]])
        coarse = normalised(encoder(to_rgb(pictures))[_COARSE])
        pooled.append(coarse.mean(dim=(2, 3)))
        for row in range(len(pictures)):
            if first + row < gallery.of_split:
                vectors.append(position_vectors(coarse[row : row + 1], most=_VECTORS_A_FRAME))
    shown = to_rgb(np.stack([gallery.frames[index].rgb for index in gallery.shown]))
    maps = _detailed(encoder, F.interpolate(shown, scale_factor=2, mode="bilinear", align_corners=False))
    return Features(torch.cat(pooled), maps, collapse_figures(torch.cat(vectors)))


def _detailed(encoder: Encoder, rgb: Tensor) -> Tensor:
    maps = encoder(rgb)
    fine, coarse = maps[_FINE], maps[_COARSE]
    larger = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat((fine, larger), dim=1)


def _evenly(clips: Sequence[Clip], most: int) -> list[Clip]:
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int))
    return [clips[index] for index in chosen]
