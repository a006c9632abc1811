"""The camera of ``numbered_rtsp.py`` in a process of its own, by the Python that has GStreamer's bindings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SYSTEM_PYTHON = "/usr/bin/python3"


@contextmanager
def camera_process() -> Iterator[subprocess.Popen[str]]:
    """It takes commands and answers, a line each; leaving kills it."""
    command = [_SYSTEM_PYTHON, str(Path(__file__).with_name("numbered_rtsp.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
