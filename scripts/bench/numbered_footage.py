"""Pictures that carry their number, and footage looked through for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from catseye.capture import journal

WIDTH, HEIGHT, BITS = 128, 64, 16


def numbered(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey picture (HEIGHT, WIDTH) whose columns are the number's bits, from the lowest."""
    bits = (number >> np.arange(BITS)) & 1
    row = np.repeat(32 + 192 * bits, WIDTH // BITS).astype(np.uint8)
    return np.tile(row, (HEIGHT, 1))


def numbers_in(path: Path) -> list[int]:
    """The numbers of the frames of a video that decode; an empty list where it is none."""
    try:
        with av.open(f"file:{path}") as container:
            return list(_numbers(container))
    except av.FFmpegError:
        return []


def _numbers(container: av.container.InputContainer) -> Iterator[int]:
    for packet in container.demux(video=0):
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            continue
        for picture in pictures:
            levels = picture.to_ndarray(format="gray")[HEIGHT // 4 : -HEIGHT // 4].mean(axis=0)
            bits = levels.reshape(BITS, -1).mean(axis=1) > 128
            yield int((bits << np.arange(BITS)).sum())


def footage_of(folder: Path) -> tuple[set[int], list[str]]:
    """Numbers of the frames in a camera's closed segments, and in words what does not hold of it.

    What must hold: each segment is there with the journal's SHA-256, and all its packets decode; frames are
    in order and none is twice; no file is left open.
    """
    faults: list[str] = []
    found: list[int] = []
    for line in journal.segments(journal.read(folder)).values():
        segment = folder / line.file
        if not segment.exists():
            faults.append(f"{segment.name}: is not there, though journalled")
            continue
        sha256 = hashlib.sha256(segment.read_bytes()).hexdigest()
        if sha256 != line.sha256:
            faults.append(f"{segment.name}: another SHA-256 than the journal's")
        numbers = numbers_in(segment)
        if len(numbers) != line.packets:
            faults.append(f"{segment.name}: {len(numbers)} of {line.packets} packets decode")
        found += numbers
    if found != sorted(set(found)):
        faults.append("frames are out of order or twice")
    faults += [f"{path.name}: is left" for path in folder.glob(f"*{journal.PART_SUFFIX}")]
    return set(found), faults


def torn_lines(folder: Path) -> int:
    """Lines of a camera's journal that are not JSON."""
    path = folder / journal.JOURNAL_NAME
    torn = 0
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            json.loads(line)
        except ValueError:
            torn += bool(line.strip())
    return torn
