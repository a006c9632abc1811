"""What key frames say of their coding."""

from __future__ import annotations

import pytest
from recording_footage import encoded

from catseye.capture.recording.parameters import parameters_in, template_from

CODERS = {"h264": "libx264", "mjpeg": "mjpeg"}


def key_frame(codec: str, size: tuple[int, int]) -> bytes:
    return encoded(3, size=size, codec=CODERS[codec])[0][0]


@pytest.mark.parametrize("codec", CODERS)
def test_parameters_are_those_of_the_size(codec: str) -> None:
    small = [parameters_in(codec, data) for data, _, _, is_key in encoded(25, codec=CODERS[codec]) if is_key]
    assert len(small) >= 3 and len(set(small)) == 1 and small[0]
    assert small[0] != parameters_in(codec, key_frame(codec, (64, 48)))


@pytest.mark.parametrize("codec", CODERS)
def test_key_frame_alone_describes_a_stream(codec: str) -> None:
    stream = template_from(codec, key_frame(codec, (64, 48)))
    assert stream is not None
    context = stream.codec_context
    assert (context.name, context.width, context.height) == (codec, 64, 48)


def test_frames_between_carry_none() -> None:
    assert {parameters_in("h264", data) for data, _, _, is_key in encoded(9) if not is_key} == {b""}


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg", "vp9"])
@pytest.mark.parametrize("packet", [b"", b"\0\0\1", b"\0\0\0\1\0\0\1", b"\xff\xd8\xff", bytes(range(256))])
def test_any_bytes_are_borne(codec: str, packet: bytes) -> None:
    assert parameters_in(codec, packet) == b""
    assert template_from(codec, packet) is None
