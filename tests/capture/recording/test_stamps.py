"""Stamps: what they vouch for is exactly what was written, in either container."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from catseye.capture.recording.stamps import Container, Prefix, stamp, verified_prefix

CONTAINERS: list[Container] = ["mp4", "ts"]
PIECES = {
    "mp4": [b"\0\0\0\x10ftypisom\0\0\0\0", b"\0\0\1\0moof" + bytes(range(248)), b"\0\0\0\x0amdat\1\2"],
    "ts": [b"\x47\x01\x00\x10" + bytes([number] * 184) for number in (1, 2, 3)],
}


def write(path: Path, container: Container, lines: list[bytes]) -> list[int]:
    """A file with a stamp after each piece; the sizes at which each stamp ends."""
    content, ends = b"", []
    for piece, line in zip(PIECES[container], lines, strict=True):
        content += piece
        content += stamp(container, hashlib.sha256(content).digest(), line)
        ends.append(len(content))
    path.write_bytes(content)
    return ends


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("length", [0, 5, 140, 183, 184, 700])
def test_whole_file_is_verified(tmp_path: Path, container: Container, length: int) -> None:
    path = tmp_path / "segment"
    lines = [bytes([65 + number]) * length for number in range(3)]
    ends = write(path, container, lines)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert verified_prefix(path, container) == Prefix(ends[-1], digest, lines[-1])


@pytest.mark.parametrize("container", CONTAINERS)
def test_file_cut_anywhere_is_verified_up_to_the_last_whole_stamp(
    tmp_path: Path, container: Container
) -> None:
    path = tmp_path / "segment"
    ends = write(path, container, [b"one", b"two", b"three"])
    content = path.read_bytes()
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        found = verified_prefix(path, container)
        expected = max((end for end in ends if end <= size), default=None)
        assert (found.size_bytes if found else None) == expected, size


@pytest.mark.parametrize("container", CONTAINERS)
def test_one_wrong_byte_ends_what_is_verified(tmp_path: Path, container: Container) -> None:
    path = tmp_path / "segment"
    ends = write(path, container, [b"x" * 132] * 3)  # in MPEG-TS, a packet without padding
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        found = verified_prefix(path, container)
        expected = max((end for end in ends if end <= at), default=None)
        assert (found.size_bytes if found else None) == expected, at


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("content", [b"", bytes(1000), b"\xff" * 1000, b"\x47" * 1000])
def test_file_without_stamps_is_not_verified(tmp_path: Path, container: Container, content: bytes) -> None:
    path = tmp_path / "segment"
    path.write_bytes(content)
    assert verified_prefix(path, container) is None
