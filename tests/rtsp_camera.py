"""A camera on this machine that misbehaves when told to: GStreamer's RTSP server, in a process of its own."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDS = "needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-*"

_SCRIPT = Path(__file__).parent / "capture" / "recording" / "rtsp_server.py"
_PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ['x264enc', 'h264parse', 'rtph264pay']))"
)


@cache
def is_installed() -> bool:
    """Whether the system's Python can run the server."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return not subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, check=False).returncode


class RtspCamera:
    """The server's process and what it is told; ``rtsp_server.py`` explains the words."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.address = f"rtsp://127.0.0.1:{int(self._process.stdout.readline())}"

    def tell(self, words: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def stop(self) -> None:
        with self._process:
            self._process.kill()
