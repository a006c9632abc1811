"""Whatever the footage, originals give the pictures that ingest made the shards from, to the level."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from coded_footage import (
    AV1,
    CODECS,
    CONTAINERS,
    COUNT,
    NOT_STORED,
    TURNS,
    encode,
    interlaced,
    scene,
    turned,
)

from catseye.capture import ingest_file
from catseye.capture.clips import CorruptClip
from catseye.capture.geometry import Image, Letterbox, Planes, pad_to_network, planes_to_rgb
from catseye.capture.ingestion import ingest
from catseye.capture.originals import OriginalReader
from catseye.capture.shards import Placed, ShardWriter

PICTURES = [scene(number) for number in range(COUNT)]
UNEVEN = np.cumsum(np.random.default_rng(0).choice([20, 40, 60], COUNT)).tolist()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Image]:
    """As network input, all that goes into the shards from now on."""
    found: list[Image] = []

    class Noting(ShardWriter):
        def write(self, scaled: Planes, box: Letterbox, *, time_s: float) -> Placed:
            found.append(pad_to_network(planes_to_rgb(scaled), box))
            return super().write(scaled, box, time_s=time_s)

    monkeypatch.setattr(ingest_file, "ShardWriter", Noting)
    return found


@pytest.fixture
def check(written: list[Image], tmp_path: Path) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        """Read every frame by itself, some together, and all in order."""
        dataset = ingest([path], tmp_path / "dataset", width=96, height=64, jobs=1)
        rows = sorted((clip for clip in dataset.clips if len(clip)), key=lambda clip: clip.clip_id)
        frames = [(clip, frame) for clip in rows for frame in range(len(clip))]
        assert len(frames) == len(written) >= COUNT
        rng = np.random.default_rng(0)
        reader = OriginalReader(dataset)
        for place in rng.permutation(len(frames)):
            clip, frame = frames[place]
            np.testing.assert_array_equal(reader.read(clip, [frame])[0], written[place])
        first = 0
        for clip in rows:
            for _ in range(4):
                chosen = np.sort(rng.choice(len(clip), min(4, len(clip)), replace=False))
                expected = [written[first + frame] for frame in chosen]
                np.testing.assert_array_equal(reader.read(clip, chosen.tolist()), expected)
            np.testing.assert_array_equal(
                OriginalReader(dataset).read(clip, range(len(clip))), written[first : first + len(clip)]
            )
            first += len(clip)

    return check


@pytest.mark.parametrize(
    ("container", "codec"),
    [pair for pair in itertools.product(CONTAINERS, CODECS) if pair not in NOT_STORED],
)
def test_every_codec_in_every_container(
    tmp_path: Path, check: Callable[[Path], None], container: str, codec: str
) -> None:
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    check(encode(tmp_path / f"a.{container}", codec, PICTURES, pixel_format=pixel_format))


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_frames_out_of_order_in_short_groups(
    tmp_path: Path, check: Callable[[Path], None], container: str, codec: str
) -> None:
    options = {"preset": "veryfast"} if codec != "mpeg2video" else {}
    if codec == "libx265":
        options["x265-params"] = "bframes=3:keyint=9:log-level=error:pools=1"
    check(encode(tmp_path / f"a.{container}", codec, PICTURES, options={"bf": "3", "g": "9", **options}))


def test_frames_that_their_times_cannot_tell_apart_are_told(tmp_path: Path) -> None:
    """AVI says when to decode. Ingest reads all in turn and knows the times of display; a seek does not."""
    options = {"preset": "veryfast", "bf": "3"}
    path = encode(tmp_path / "a.avi", "libx264", PICTURES, options=options)
    dataset = ingest([path], tmp_path / "dataset", width=96, height=64, jobs=1)
    assert (np.diff(np.concatenate([clip.pts for clip in dataset.clips])) > 0).all()
    with pytest.raises(CorruptClip, match="does not say when its frames are shown"):
        OriginalReader(dataset).read(dataset.clips[0], [0])


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        *((codec, "yuv420p10le") for codec in ("libx264", "libx265", AV1)),
        *(("libx264", name) for name in ("yuv422p", "yuv444p", "yuvj420p", "yuvj444p")),
    ],
)
def test_every_pixel_format(
    tmp_path: Path, check: Callable[[Path], None], codec: str, pixel_format: str
) -> None:
    check(encode(tmp_path / "a.mkv", codec, PICTURES, pixel_format=pixel_format))


@pytest.mark.parametrize("meaning", [{"matrix": "bt601"}, {"matrix": "bt709"}, {"full_range": True}])
def test_every_colour_meaning(
    tmp_path: Path, check: Callable[[Path], None], write_video: Callable[..., Path], meaning: dict[str, Any]
) -> None:
    check(write_video(tmp_path / "a.mp4", PICTURES.__getitem__, range(0, 40 * COUNT, 40), **meaning))


@pytest.mark.parametrize("name", TURNS)
def test_every_turn_and_pixels_that_are_not_square(
    tmp_path: Path, check: Callable[[Path], None], name: str
) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", PICTURES, aspect=Fraction(4, 3))
    check(turned(path, TURNS[name][0]))


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("container", ["mkv", "ts"])
def test_interlaced_pictures(
    tmp_path: Path, check: Callable[[Path], None], container: str, codec: str
) -> None:
    path = encode(
        tmp_path / f"a.{container}",
        codec,
        PICTURES,
        pts=None if codec == "mpeg2video" else UNEVEN,
        options={"g": "8"},
        prepare=interlaced,
    )
    with av.open(str(path)) as container_:
        assert next(container_.decode(video=0)).interlaced_frame
    check(path)


def joined(path: Path, parts: list[Path]) -> Path:
    """Put the packets of MPEG transport streams after each other."""
    with av.open(str(path), "w") as made:
        stream, at = None, 0
        for part in parts:
            with av.open(str(part)) as given:
                template = given.streams.video[0]
                if stream is None:
                    add = getattr(made, "add_stream_from_template", None)
                    stream = add(template) if add else made.add_stream(template=template)  # PyAV before 14
                packets = [packet for packet in given.demux(template) if packet.size]
                start = min(packet.dts for packet in packets)
                for packet in packets:
                    packet.pts, packet.dts = packet.pts - start + at, packet.dts - start + at
                    packet.stream = stream
                at = max(packet.dts for packet in packets) + 3600
                for packet in packets:
                    made.mux(packet)
    return path


def flags(path: Path) -> Iterator[bool]:
    with av.open(str(path)) as container:
        yield from (bool(picture.interlaced_frame) for picture in container.decode(video=0))


def test_pictures_that_are_interlaced_now_and_then(tmp_path: Path, check: Callable[[Path], None]) -> None:
    """A deinterlacer that begins with such a picture does otherwise than one at work before."""
    ways = {
        "plain": {"options": {"g": "8"}},
        "fields": {"options": {"g": "8"}, "prepare": interlaced},
    }
    parts = [
        encode(tmp_path / f"{number}-{way}.ts", "mpeg2video", PICTURES[: 8 + 3 * number], **ways[way])
        for number, way in enumerate(("plain", "fields", "plain", "fields", "plain"))
    ]
    path = joined(tmp_path / "a.ts", parts)
    found = "".join("pi"[flag] for flag in flags(path))
    assert [len(run) for run in found.replace("pi", "p i").replace("ip", "i p").split()] == [
        8,
        11,
        14,
        17,
        20,
    ]
    check(path)


def test_a_picture_of_another_size_is_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", PICTURES)
    dataset = ingest([path], tmp_path / "dataset", width=96, height=64, jobs=1)
    (clip,) = dataset.clips
    object.__setattr__(clip, "width", clip.width + 2)
    with pytest.raises(CorruptClip, match="has a picture of 192x128"):
        OriginalReader(dataset).read(clip, [0])
