"""What a SOURCE of the command line names: files one after the other, or streams at the same time.

drive.mp4  clips/  'clips/*.mp4'      files, one after the other
rtsp://…  http://…  /dev/video0       a camera, by FFmpeg; on a Jetson RTSP by GStreamer
csi://0  gst:PIPELINE                 a camera or any pipeline, by GStreamer
NAME=ANY OF THESE                     a stream of that name, at the same time as the others
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catseye.capture.geometry import Letterbox
from catseye.capture.live import Transport, check_address
from catseye.capture.sources import VideoFile, find_videos
from catseye.errors import InputError, UsageError
from catseye.runtime.sources.base import Source
from catseye.runtime.sources.camera import CameraSource
from catseye.runtime.sources.files import FileSource
from catseye.runtime.sources.gstreamer_library import decodes_by_hardware

_NAMED = re.compile(r"([A-Za-z0-9][\w-]*)=(.+)")
_GSTREAMER = re.compile(r"csi://\d+|gst:.+", re.DOTALL)
_CAMERA = re.compile(r"\w+://.+|/dev/video\d+")
_REMEDY = "give a file, a folder, rtsp://…, http://…, /dev/videoN, csi://N or gst:PIPELINE"


@dataclass(frozen=True)
class SourceSpec:
    """A stream to be opened.

    Args:
        name: of the stream in results.
        address: one of those that the module lists; of files, a single file.
    """

    name: str
    address: str

    @property
    def live(self) -> bool:
        return _is_live(self.address)

    def open(
        self, *, transport: Transport = "tcp", fit: Callable[[int, int], Letterbox] | None = None
    ) -> Source:
        """Open a file; a camera is connected to when its frames are asked for.

        Args:
            transport: what RTSP sends its packets over.
            fit: the network's size for a frame's, for sources that scale by hardware.

        Raises:
            InputError: the file cannot be read.
            CatseyeError: GStreamer is needed and not installed.
        """
        if _GSTREAMER.fullmatch(self.address) or (self.address.startswith("rtsp") and decodes_by_hardware()):
            from catseye.runtime.sources.gstreamer import GStreamerSource  # loads its libraries

            return GStreamerSource(self.address, name=self.name, fit=fit, transport=transport)
        if self.live:
            return CameraSource(self.address, name=self.name, transport=transport)
        return FileSource(VideoFile(self.address), name=self.name)


def rounds_of(sources: Sequence[str]) -> list[list[SourceSpec]]:
    """The streams of each round: those of one are taken at the same time, and the rounds one after the other.

    Raises:
        InputError: a file or device is not there.
        UsageError: there is no source, a name is given twice, or files without a name stand beside streams.
    """
    together: dict[str, SourceSpec] = {}
    files: list[SourceSpec] = []
    unnamed_cameras = sum(_is_live(source) for source in sources if not _named(source))
    cameras = 0
    for source in sources:
        named = _named(source)
        if not named and not _is_live(source):
            files += [SourceSpec(str(path), str(path)) for path in _files(source)]
            continue
        if named:
            name, address = named
        else:
            cameras += 1
            name, address = "camera" if unnamed_cameras == 1 else f"camera{cameras}", source
        if name in together:
            raise UsageError(f"stream {name!r} is given twice: write NAME=ADDRESS with a name for each")
        together[name] = SourceSpec(name, _one(address))
    if files and together:
        raise UsageError(
            f"{files[0].name} stands beside {next(iter(together))}: files are taken one after the other, "
            "unless each has a name; write NAME=FILE"
        )
    if not files and not together:
        raise UsageError("no source: name a file, a folder or a camera")
    return [list(together.values())] if together else [[file] for file in files]


def _named(source: str) -> tuple[str, str] | None:
    match = _NAMED.fullmatch(source)
    return (match[1], match[2]) if match and not Path(source).exists() else None


def _is_live(address: str) -> bool:
    return bool(_GSTREAMER.fullmatch(address) or _CAMERA.fullmatch(address))


def _one(address: str) -> str:
    """An address that is a single stream, checked as far as it can be."""
    if _GSTREAMER.fullmatch(address):
        return address
    if "://" not in address and not Path(address).exists():
        raise InputError(address, "no such file or device", _REMEDY)
    check_address(address)
    return address


def _files(pattern: str) -> list[Path]:
    if Path(pattern).exists() or not glob.has_magic(pattern):
        if not Path(pattern).exists():
            raise InputError(pattern, "no such file or folder", _REMEDY)
        return find_videos(pattern)
    below = Path(Path(pattern).anchor)
    found = sorted(path for path in below.glob(str(Path(pattern).relative_to(below))) if path.is_file())
    if not found:
        raise InputError(pattern, "matches no file", "check the pattern")
    return found
