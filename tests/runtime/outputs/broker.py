"""A real MQTT broker that can be killed and held up, and somebody who listens to it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typing_extensions import Self

PATIENCE_S = 30.0
"""Longest wait for what must come; only a test that fails waits so long."""

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_broker = pytest.mark.skipif(
    PROGRAM is None, reason="no broker to publish to: apt-get install mosquitto"
)


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.01)


class Broker:
    """Mosquitto on a port of its own; use as a context manager.

    Args:
        folder: for its files.
        passwords: of its users; None lets anybody in.
        tls: certificate and key, to be spoken to over TLS.
    """

    def __init__(
        self, folder: Path, *, passwords: dict[str, str] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        lines = ["user root", "persistence false", f"listener {self.port} 127.0.0.1"]
        if passwords is None:
            lines.append("allow_anonymous true")
        else:
            file = folder / "passwords"
            file.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
            subprocess.run(["mosquitto_passwd", "-U", file], check=True)
            lines.append(f"password_file {file}")
        if tls is not None:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        self._settings = folder / "mosquitto.conf"
        self._settings.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(self._settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hold_up(self) -> None:
        """Let it take nothing, with all connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def let_go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Listener:
    """Collects what is published below ``fleet/``; use as a context manager. It comes back by itself."""

    def __init__(self, port: int, *, user: tuple[str, str] | None = None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("fleet/#")
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda client, _, message: self.heard.append(
            (message.topic, message.payload, bool(message.retain))
        )
        self._client.connect("127.0.0.1", port)

    def of(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in list(self.heard) if heard == topic]

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: Any) -> None:
        self._client.disconnect()
        self._client.loop_stop()
