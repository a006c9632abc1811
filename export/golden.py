"""The inputs of a proof: frames for the graph, and a short video for all that comes before it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.sources import VideoFile
from catseye.capture.writer import VideoWriter
from catseye.errors import CatseyeError, InputError
from catseye.runtime.engines.base import Inputs
from catseye.runtime.manifest import Colour, Network
from catseye.runtime.network_input import network_input, pictures_input, stacked
from catseye.runtime.proof import decode_fragment

_SPACING = 20
_FLAT_SIDE, _FLAT_LEVELS, _MOST_OFF = 9, 16, 0.5
_FRAGMENT_FRAMES = 4
_FRAGMENT_FPS = 25


def golden_inputs(videos: Sequence[Path], network: Network, *, count: int, seed: int) -> Inputs:
    """Frames as a graph takes them: in turn from each video, or smooth noise where there is none.

    Raises:
        InputError: a video has too few frames.
    """
    if not videos:
        noise = _noise(count, width=network.width, height=network.height, seed=seed)
        return pictures_input(noise, network)
    shares = [count // len(videos) + (index < count % len(videos)) for index in range(len(videos))]
    frames = [
        frame for video, share in zip(videos, shares, strict=True) for frame in _spaced(video, share, network)
    ]
    return stacked(frames)


def proof_fragment(network: Network) -> tuple[bytes, Inputs]:
    """The video that ``write_fragment`` writes, and its frames as network input.

    Raises:
        CatseyeError: what is decoded here is not what was drawn. Else a fault that export and vehicle share
            would prove itself right.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fragment.mp4"
        write_fragment(path, network)
        video = path.read_bytes()
    found = stacked(list(decode_fragment(video, network)))
    off = _levels_off(found, network)
    if not off <= _MOST_OFF:
        raise CatseyeError(
            f"the proof's video does not come back as it was drawn: where it is flat its colours are "
            f"{off:.2g} levels off, {_MOST_OFF} at most; nothing was written"
        )
    return video, found


def write_fragment(path: str | Path, network: Network) -> None:
    """Write a few frames of a moving test card as H.264.

    Its colours are saturated and its aspect is not the network's, so that a wrong colour matrix, range,
    resize or letterbox shows. Where the network takes planes, the card's are of the other matrix and range:
    planes of the network's own would pass whoever converts none. The card is larger than the network's frame.
    """
    size = _card_size(network)
    colour = _other_colour(network.colour)
    with VideoWriter(
        path,
        width=size[0],
        height=size[1],
        time_base=Fraction(1, _FRAGMENT_FPS),
        gop=_FRAGMENT_FRAMES,
        crf=12,
        matrix=colour.matrix,
        full_range=colour.full_range,
    ) as writer:
        for index in range(_FRAGMENT_FRAMES):
            writer.write_rgb(_test_card(*size, index), pts=index)


def _other_colour(colour: Colour | None) -> Colour:
    if colour is None:
        return Colour()
    return Colour(matrix="bt709" if colour.matrix == "bt601" else "bt601", full_range=not colour.full_range)


def _spaced(video: Path, count: int, network: Network) -> list[Inputs]:
    """The first frame of a video and every ``_SPACING``-th after it, as far as there are so many."""
    with VideoFile(video, threads=1) as source:
        wanted = islice(source.frames(), 0, count * _SPACING, _SPACING)
        frames = [network_input(frame.planes, network) for frame in wanted]
    if len(frames) < count:
        raise InputError(
            video,
            f"is too short to give {count} frames, {_SPACING} apart",
            "give a longer one or more of them",
        )
    return frames


def _noise(count: int, *, width: int, height: int, seed: int) -> Image:
    """Noise at several scales, so that every layer sees contrast of its own size."""
    generator = np.random.default_rng(seed)
    total = np.zeros((count, height, width, 3), dtype=np.float32)
    for scale in (1, 4, 16, 64):
        coarse = generator.standard_normal(
            (count, -(-height // scale), -(-width // scale), 3), dtype=np.float32
        )
        total += np.stack([cv2.resize(frame, (width, height)) for frame in coarse])
    return np.clip(128 + 40 * total, 0, 255).astype(np.uint8)


def _card_size(network: Network) -> tuple[int, int]:
    return 2 * network.width, 2 * (network.height * 5 // 4)


def _test_card(width: int, height: int, index: int) -> Image:
    """Bars of the eight corners of the colour cube above a grey ramp, which move on by 8 pixels a frame."""
    columns = (np.arange(width) + 8 * index) % width
    bar = columns * 8 // width
    bars = np.stack([bar & 1, bar >> 1 & 1, bar >> 2 & 1], axis=-1) * 255
    ramp = np.repeat((columns * 255 // (width - 1))[:, None], 3, axis=1)
    card = np.empty((height, width, 3), dtype=np.uint8)
    card[: height * 2 // 3] = bars
    card[height * 2 // 3 :] = ramp
    return card


def _levels_off(found: Inputs, network: Network) -> float:
    """How far decoded frames are from the cards as drawn, in levels: the mean over where these are flat.

    4:2:0 and coding blur every edge. Infinite where frames are missing.
    """
    size = _card_size(network)
    cards = np.stack([_test_card(*size, index) for index in range(_FRAGMENT_FRAMES)])
    drawn = pictures_input(cards, network)
    if any(found[name].shape != plane.shape for name, plane in drawn.items()):
        return float("inf")
    off = [np.abs(found[name].astype(np.int16) - plane)[_is_flat(plane)] for name, plane in drawn.items()]
    return float(np.concatenate([levels.ravel() for levels in off]).mean())


def _is_flat(frames: Image) -> NDArray[np.bool_]:
    """Which pixels (T, H, W) of frames (T, H, W, …) are like all around them."""
    around = np.ones((_FLAT_SIDE, _FLAT_SIDE), np.uint8)
    spread = np.stack([cv2.dilate(frame, around) - cv2.erode(frame, around) for frame in frames])
    return np.asarray(spread.reshape(*frames.shape[:3], -1).max(axis=-1) <= _FLAT_LEVELS)
