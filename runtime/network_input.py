"""What a graph is given, in its own layout: from decoded frames, from pictures, and in whole batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from catseye.capture.geometry import (
    Image,
    Planes,
    planes_to_network,
    planes_to_nv12,
    rgb_to_network,
    rgb_to_nv12,
)
from catseye.runtime.engines.base import INPUT_NAME, INPUT_NAMES, Inputs
from catseye.runtime.manifest import Network


def network_input(planes: Planes, network: Network) -> Inputs:
    """One decoded frame, without the batch axis.

    For ``nv12`` no pixel is converted to RGB here; planes of another colour are converted to the graph's.
    """
    box = network.letterbox(planes.width, planes.height)
    if network.colour is None:
        return {INPUT_NAME: planes_to_network(planes, box)}
    colour = network.colour
    nv12 = planes_to_nv12(planes, box, matrix=colour.matrix, full_range=colour.full_range)
    return dict(zip(INPUT_NAMES["nv12"], nv12, strict=True))


def picture_input(rgb: Image, network: Network) -> Inputs:
    """One RGB picture (H, W, 3) uint8, without the batch axis. For ``nv12`` it loses half of its chroma."""
    box = network.letterbox(rgb.shape[1], rgb.shape[0])
    if network.colour is None:
        return {INPUT_NAME: rgb_to_network(rgb, box)}
    colour = network.colour
    nv12 = rgb_to_nv12(rgb, box, matrix=colour.matrix, full_range=colour.full_range)
    return dict(zip(INPUT_NAMES["nv12"], nv12, strict=True))


def pictures_input(pictures: Iterable[Image], network: Network) -> Inputs:
    """RGB pictures, such as (F, H, W, 3) uint8, along the first axis."""
    return stacked([picture_input(picture, network) for picture in pictures])


def stacked(frames: Sequence[Inputs]) -> Inputs:
    """Single frames along a new first axis; one alone is not copied."""
    if len(frames) == 1:
        return {name: array[None] for name, array in frames[0].items()}
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def filled(inputs: Inputs, batch: int) -> Inputs:
    """Up to ``batch`` frames made ``batch`` frames by repeating the last."""
    missing = batch - frame_count(inputs)
    if not missing:
        return inputs
    return {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in inputs.items()}


def in_batches(inputs: Inputs, batch: int) -> Iterator[tuple[Inputs, int]]:
    """Any number of frames as whole batches, and how many frames of each count; see ``filled``."""
    total = frame_count(inputs)
    for start in range(0, total, batch):
        part = {name: array[start : start + batch] for name, array in inputs.items()}
        yield filled(part, batch), min(batch, total - start)


def first_frames(inputs: Inputs, count: int) -> Inputs:
    return {name: array[:count] for name, array in inputs.items()}


def frame_count(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))
