"""A small web server for figures and pictures: a function answers each path, in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

from catseye.errors import InputError

_LONGEST_SILENCE_S = 10


@dataclass(frozen=True)
class Answer:
    """What a request gets.

    Args:
        content: all of it.
        kind: its content type.
        code: HTTP's status.
    """

    content: bytes
    kind: str = "text/plain; charset=utf-8"
    code: int = 200

    @classmethod
    def of_json(cls, document: Any) -> Answer:
        return cls((json.dumps(document, indent=2) + "\n").encode(), "application/json")


Routes = Mapping[str, Callable[[], Answer]]
"""What answers each path; what follows a question mark is ignored."""


class WebServer:
    """Answers GET requests until it is closed; use as a context manager, or call ``close``.

    Args:
        routes: functions that other threads may call at any time.
        port: to listen on; 0 for any, which the attribute ``port`` then tells.
        host: address to listen on; by default this machine alone can ask.

    Raises:
        InputError: the port is taken or not allowed.
    """

    def __init__(self, routes: Routes, port: int, *, host: str = "127.0.0.1") -> None:
        class Handler(_Handler):
            answers = routes

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            fault = f"cannot be listened on ({error.strerror})"
            raise InputError(f"port {port} of {host}", fault, "name another, or 0 for any") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="web server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    answers: Routes
    timeout = _LONGEST_SILENCE_S  # a client that says or takes nothing holds no thread

    def do_GET(self) -> None:
        answer_to = self.answers.get(self.path.partition("?")[0])
        if answer_to is None:
            self._send(Answer(f"there are {', '.join(self.answers)}\n".encode(), code=404))
        else:
            self._send(answer_to())

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line each."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        with suppress(OSError):  # the client has gone
            self.wfile.write(answer.content)
