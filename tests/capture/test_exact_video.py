"""Frames by their time stamps, compared bit by bit with decoding the file from its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from catseye.capture.exact_video import ExactVideo, FrameTimes
from catseye.capture.geometry import Image
from catseye.capture.sources import VideoFile, to_frame

KINDS = ("mp4", "mkv", "ts")
FRAMES = 90


@pytest.fixture(scope="module")
def videos(
    tmp_path_factory: pytest.TempPathFactory,
    write_video: Callable[..., Path],
    moving: Callable[..., Any],
    remux: Callable[..., Path],
) -> dict[str, Path]:
    """Of a variable rate, from a pts other than 0 on, with B-frames of two levels over open groups."""
    folder = tmp_path_factory.mktemp("exact")
    steps = np.random.default_rng(0).choice([20, 33, 40, 100], FRAMES)
    mkv = write_video(
        folder / "a.mkv",
        moving(),
        (731 + np.cumsum(steps)).tolist(),
        gop=12,
        b_frames=3,
        preset="veryfast",
        x264={"b-pyramid": "normal", "b_strategy": "0", "x264-params": "open-gop=1:keyint=12:min-keyint=12"},
    )
    return {"mkv": mkv, **{kind: remux(mkv, folder / f"a.{kind}") for kind in ("mp4", "ts")}}


def decoded(path: Path) -> tuple[FrameTimes, Fraction, dict[int, Image]]:
    """A file's frames in order: their times and their luma by pts."""
    with VideoFile(path, threads=1) as video:
        frames = [(frame.pts, frame.key, frame.planes.y.copy()) for frame in video.frames()]
    pts = np.array([at for at, _, _ in frames], dtype=np.int64)
    keys = pts[[key for _, key, _ in frames]]
    return FrameTimes(pts=pts, keys=keys), video.info.time_base, {at: luma for at, _, luma in frames}


def luma(picture: VideoFrame) -> Image:
    return to_frame(picture, index=0, time_base=Fraction(1)).planes.y


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, videos: dict[str, Path]) -> Iterator[tuple[ExactVideo, Any, Any]]:
    path = videos[request.param]
    times, time_base, expected = decoded(path)
    assert len(expected) == FRAMES and 6 <= len(times.keys) < FRAMES / 8
    video = ExactVideo(path, times, time_base=time_base)
    yield video, times, expected
    video.close()


def test_the_groups_are_open(videos: dict[str, Path]) -> None:
    with av.open(str(videos["mkv"])) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
    leading = [packets[key + 1].pts < packets[key].pts for key in keys[1:] if key + 1 < len(packets)]
    assert leading and all(leading)


def test_each_frame_by_itself_is_what_decoding_in_order_gives(case: tuple[ExactVideo, Any, Any]) -> None:
    video, times, expected = case
    for pts in np.random.default_rng(1).permutation(times.pts).tolist():
        (picture,) = video.pictures([pts])
        assert picture.pts == pts
        np.testing.assert_array_equal(luma(picture), expected[pts])


def test_any_frames_together_and_one_after_another(case: tuple[ExactVideo, Any, Any]) -> None:
    video, times, expected = case
    rng = np.random.default_rng(2)
    for _ in range(40):
        first = int(rng.integers(FRAMES - 20))
        places = first + np.sort(rng.choice(20, rng.integers(1, 6), replace=False))
        wanted = times.pts[places].tolist()
        found = [(picture.pts, luma(picture).copy()) for picture in video.pictures(wanted)]
        assert [pts for pts, _ in found] == wanted
        for pts, picture in found:
            np.testing.assert_array_equal(picture, expected[pts])


def test_what_nothing_refers_to_is_passed_over(
    videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    times, time_base, _ = decoded(videos["mp4"])
    counted: list[VideoFrame] = []
    pictures = ExactVideo._pictures

    def noted(self: ExactVideo, wanted: int, needless: Any) -> Iterator[VideoFrame]:
        for picture in pictures(self, wanted, needless):
            counted.append(picture)
            yield picture

    monkeypatch.setattr(ExactVideo, "_pictures", noted)
    video = ExactVideo(videos["mp4"], times, time_base=time_base)
    key = int(np.searchsorted(times.pts, times.keys[2]))
    list(video.pictures([int(times.pts[key + 11])]))
    assert len(counted) <= 8  # of 12: no more than every second is referred to, and some lead to the next key


def test_reading_on_does_not_seek(case: tuple[ExactVideo, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    video, times, expected = case
    keys: list[int] = []
    start = ExactVideo._start
    monkeypatch.setattr(ExactVideo, "_start", lambda self, key: (keys.append(key), start(self, key)))
    key = int(np.searchsorted(times.pts, times.keys[1]))
    for place in range(key, key + 8):
        (picture,) = video.pictures([int(times.pts[place])])
        np.testing.assert_array_equal(luma(picture), expected[int(times.pts[place])])
    assert keys == [times.keys[1]]


def test_a_frame_that_is_not_there(case: tuple[ExactVideo, Any, Any]) -> None:
    video, times, expected = case
    pts = times.pts.tolist()
    for missing in (pts[10] + 1, pts[0] - 1, pts[-1] + 1, pts[-1] + 10**9):
        with pytest.raises(ValueError, match=f"no whole frame at pts {missing}|no key frame"):
            list(video.pictures([missing]))
    (picture,) = video.pictures([pts[20]])
    np.testing.assert_array_equal(luma(picture), expected[pts[20]])


def test_another_time_base_is_refused(videos: dict[str, Path]) -> None:
    times, _, _ = decoded(videos["mp4"])
    with pytest.raises(ValueError, match="has the time base"):
        ExactVideo(videos["mp4"], times, time_base=Fraction(1, 7))
