"""A camera on this machine for recorders to be tried with: MPEG-TS over HTTP, to whoever connects."""

from __future__ import annotations

import socketserver
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

RATE = 25


class HttpCamera(ABC, socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves while ``serve_forever`` runs, each connection in a thread of its own.

    Args:
        width, height: of its pictures.
    """

    daemon_threads = True

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        super().__init__(("127.0.0.1", 0), _Filming)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    @abstractmethod
    def film(self, container: OutputContainer, stream: VideoStream, out: BinaryIO) -> None:
        """Mux pictures into a connection's stream, which goes to ``out``, for as long as there are any."""

    def rest(self) -> None:
        """What to do before the connection is closed, when all has been sent."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A recorder that ends breaks its connection."""


class _Filming(BaseHTTPRequestHandler):
    server: HttpCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        with av.open(self.wfile, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height = self.server.size
            stream.pix_fmt = "yuv420p"
            self.server.film(container, stream, self.wfile)
        self.server.rest()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
