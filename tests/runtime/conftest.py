"""A network that sees bright rectangles, and a clip with some."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from bright_engine import DEPTH, SLOTS, BrightEngine, make_manifest

from catseye.capture.writer import VideoWriter
from catseye.runtime.manifest import Manifest

PATIENCE_S = 20.0
FILM_FRAMES = 10

__all__ = ["DEPTH", "SLOTS", "BrightEngine", "make_manifest"]


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest()


@pytest.fixture
def engine(manifest: Manifest) -> BrightEngine:
    return BrightEngine(manifest)


@pytest.fixture(scope="session")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 320×192 at uneven times from 2 s on: two bright rectangles that cross a dark ground."""
    path = tmp_path_factory.mktemp("lamps") / "lamps.mp4"
    pts = 2000 + np.cumsum(np.where(np.arange(40) % 5 == 4, 80, 40))
    with VideoWriter(path, width=320, height=192, time_base=Fraction(1, 1000), crf=10) as writer:
        for k, at in enumerate(pts.tolist()):
            frame = np.full((192, 320, 3), 30, np.uint8)
            frame[40:70, 20 + 5 * k : 70 + 5 * k] = 250
            frame[120:160, 260 - 5 * k : 300 - 5 * k] = 250
            writer.write_rgb(frame, pts=at)
    return path


def shaken() -> list[np.ndarray]:
    """20 pictures (192, 320, 3): two small bright rectangles on a wall full of corners, before a camera that
    jerks by up to 20 pixels from one to the next."""
    draw = np.random.default_rng(1)
    wall = cv2.resize(draw.integers(20, 150, (30, 45), dtype=np.uint8), (450, 300))
    wall[110:126, 150:174] = wall[140:156, 270:294] = 250
    corners = 40 + draw.integers(-10, 11, (20, 2))
    return [np.dstack([wall[y : y + 192, x : x + 320]] * 3) for x, y in corners.tolist()]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of 320×192 as MPEG-TS."""
    path = tmp_path_factory.mktemp("film") / "film.ts"
    with VideoWriter(path, width=320, height=192, time_base=Fraction(1, 25)) as writer:
        for k in range(FILM_FRAMES):
            frame = np.full((192, 320, 3), 30, np.uint8)
            frame[40:70, 20 + 5 * k : 70 + 5 * k] = 250
            writer.write_rgb(frame, pts=k)
    return path


@pytest.fixture
def camera(film: Path) -> Iterator[str]:
    """Address of a camera that sends its film to whoever connects, and ends; ``/silent`` sends no more."""
    content, released = film.read_bytes(), threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)
            if self.path == "/silent":
                released.wait(PATIENCE_S)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://user:secret@127.0.0.1:{server.server_address[1]}/"
    released.set()
    server.shutdown()
    server.server_close()
