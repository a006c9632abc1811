from __future__ import annotations

from pathlib import Path

import pytest

from catseye.errors import InputError, UsageError
from catseye.runtime.sources.camera import CameraSource
from catseye.runtime.sources.files import FileSource
from catseye.runtime.sources.opening import SourceSpec, rounds_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with three videos and what is none."""
    for name in ("b.mp4", "a.mp4", "deep/c.mkv", "notes.txt", "x=y.mp4"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path / "clips")
    return tmp_path / "clips"


def named(sources: list[str]) -> list[list[tuple[str, str]]]:
    return [[(spec.name, spec.address) for spec in together] for together in rounds_of(sources)]


@pytest.mark.parametrize(
    ("sources", "files"),
    [
        (["b.mp4"], ["b.mp4"]),
        (["b.mp4", "a.mp4"], ["b.mp4", "a.mp4"]),
        (["."], ["a.mp4", "b.mp4", "deep/c.mkv", "x=y.mp4"]),
        (["?.mp4"], ["a.mp4", "b.mp4"]),
        (["**/*.mkv", "a.mp4"], ["deep/c.mkv", "a.mp4"]),
        (["x=y.mp4"], ["x=y.mp4"]),
    ],
)
def test_files_are_rounds_of_their_own(folder: Path, sources: list[str], files: list[str]) -> None:
    assert named(sources) == [[(file, file)] for file in files]
    absolute = [str(folder / source) for source in sources]
    assert named(absolute) == [[(str(folder / file),) * 2] for file in files]


@pytest.mark.parametrize(
    ("sources", "streams"),
    [
        (["rtsp://u:p@host/a"], [("camera", "rtsp://u:p@host/a")]),
        (["http://h/a", "csi://0"], [("camera1", "http://h/a"), ("camera2", "csi://0")]),
        (["front=rtsp://h/a?x=1", "http://h/b"], [("front", "rtsp://h/a?x=1"), ("camera", "http://h/b")]),
        (["front=a.mp4", "rear=b.mp4"], [("front", "a.mp4"), ("rear", "b.mp4")]),
        (["gst:videotestsrc name=x ! appsink"], [("camera", "gst:videotestsrc name=x ! appsink")]),
        (["s=gst:videotestsrc name=x"], [("s", "gst:videotestsrc name=x")]),
    ],
)
def test_streams_are_one_round(folder: Path, sources: list[str], streams: list[tuple[str, str]]) -> None:
    assert named(sources) == [streams]


@pytest.mark.parametrize(
    ("sources", "error", "words"),
    [
        ([], UsageError, "no source"),
        (["gone.mp4"], InputError, "gone.mp4: no such file or folder"),
        (["*.avi"], InputError, "matches no file"),
        (["front=/dev/video99"], InputError, "no such file or device"),
        (["front=."], UsageError, "a folder"),
        (["rtps://10.0.0.1/a"], UsageError, "rtps:// is not read"),
        (["a=a.mp4", "a=b.mp4"], UsageError, "'a' is given twice"),
        (["a.mp4", "rtsp://h/a"], UsageError, "a.mp4 stands beside camera"),
    ],
)
def test_what_cannot_be(folder: Path, sources: list[str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        rounds_of(sources)


def test_each_kind_is_opened(lamps: Path) -> None:
    file = SourceSpec("a", str(lamps)).open()
    assert isinstance(file, FileSource) and (file.name, file.live) == ("a", False)
    camera = SourceSpec("b", "rtsp://127.0.0.1:9/a").open(transport="udp")
    assert isinstance(camera, CameraSource) and (camera.name, camera.live) == ("b", True)
