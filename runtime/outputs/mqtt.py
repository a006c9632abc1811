"""Results to an MQTT broker, which may be slow or away without the run taking notice."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import sys
import threading
from collections import deque
from contextlib import suppress
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from catseye.capture.sources import Frame
from catseye.errors import MissingExtraError
from catseye.runtime.outputs.mqtt_address import MqttAddress
from catseye.runtime.results import FrameResult, line_of
from catseye.runtime.stream_summary import Delivery

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_log = logging.getLogger(__name__)

STATUS = "status"
MOST_WAITING = 64
_KEEPALIVE_S = 15
_CONNECT_S = 3.0
_LONGEST_BACKOFF_S = 8
_DRAIN_S = 2.0
_LEAVE_S = 1.0
_POLL_S = 0.01
_SEND_BUFFER_BYTES = 1 << 16


class MqttOutput:
    """Publishes the record of each frame, a sink of the pipeline; use as a context manager.

    A record goes to ``<topic>/<stream>`` with QoS 0. ``<topic>/status`` is ``online`` or ``offline``, kept by
    the broker, which also says so when we vanish.

    ``write`` never waits. Up to 64 records wait for the broker; of more, the oldest are dropped, so that
    what comes is new. Paho is given the next one when the system has taken the one before, since its own
    queue has no end, and the system's buffer is kept small, since what lies there grows old.

    A broker that is not there is tried again for ever, like a camera; that is said once.

    Raises:
        MissingExtraError: the MQTT library is not installed.
    """

    def __init__(self, address: MqttAddress, *, most_waiting: int = MOST_WAITING) -> None:
        self._address = address
        self._client = self._make_client()
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._moved = threading.Condition()
        self._is_connected = self._is_away = False
        self._under_way: int | None = None
        self._sent = self._dropped = self._connections = 0

    def __enter__(self) -> Self:
        self._client.connect_async(self._address.host, self._address.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        return self

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Let a record go, or wait for its turn, or take the place of the oldest."""
        item = self.topic_of(result.stream), line_of(result.record())[:-1]
        with self._moved:
            if len(self._waiting) == self._most_waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(item)
            self._publish_next()

    def topic_of(self, stream: str) -> str:
        """Of a stream's records; a file's path is one word in it."""
        return f"{self._address.topic}/{topic_word(stream)}"

    def delivery(self) -> Delivery:
        """So far."""
        with self._moved:
            return Delivery(self._sent, self._dropped, self._connections)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish what waits, for two seconds at most, and that we go, for one more."""
        deadline_s = monotonic() + _DRAIN_S
        with self._moved:
            while (self._waiting or self._under_way is not None) and not self._is_away:
                if not self._moved.wait(deadline_s - monotonic()):
                    break
            self._dropped += len(self._waiting) + (self._under_way is not None)
            self._waiting.clear()
            self._under_way = None
        self._tell_status("offline")
        self._client.disconnect()
        deadline_s = monotonic() + _LEAVE_S
        while self._client.socket() is not None and monotonic() < deadline_s:
            sleep(_POLL_S)
        connection: Any = self._client.socket()
        if connection is not None:  # paho would wait for it; the broker will tell that we have vanished
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _make_client(self) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise MissingExtraError("paho-mqtt", "mqtt") from None
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"catseye-{secrets.token_hex(4)}")
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.encrypted:
            client.tls_set()
        client.connect_timeout = _CONNECT_S
        client.reconnect_delay_set(1, _LONGEST_BACKOFF_S)
        client.will_set(f"{self._address.topic}/{STATUS}", "offline", qos=1, retain=True)
        client.on_socket_open = _with_small_buffer
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _tell_status(self, status: str) -> None:
        self._client.publish(f"{self._address.topic}/{STATUS}", status, qos=0, retain=True)

    def _publish_next(self) -> None:
        """Give paho the next record if it has none. The lock is held."""
        if not self._is_connected or self._under_way is not None or not self._waiting:
            return
        topic, payload = self._waiting[0]
        given = self._client.publish(topic, payload, qos=0)
        if not given.rc:  # else the connection has gone, as we are about to be told
            self._waiting.popleft()
            self._under_way = given.mid

    # What follows is called by paho's thread.

    def _on_connect(
        self,
        client: Client,
        _: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._say_away(f"refuses us ({reason})")
            return
        with self._moved:
            was_away, self._is_away = self._is_away, False
            self._is_connected = True
            self._connections += 1
            self._tell_status("online")
            self._publish_next()
        if was_away:
            _log.info("%s is back", self._address.shown)

    def _on_connect_fail(self, client: Client, _: object) -> None:
        self._say_away(f"cannot be reached ({sys.exc_info()[1]})")

    def _on_disconnect(
        self,
        client: Client,
        _: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        with self._moved:
            was_connected, self._is_connected = self._is_connected, False
            self._dropped += self._under_way is not None
            self._under_way = None
        if was_connected and reason.is_failure:
            self._say_away(f"broke off ({reason})")

    def _on_publish(
        self, client: Client, _: object, number: int, reason: ReasonCode, properties: Properties
    ) -> None:
        with self._moved:
            if number != self._under_way:
                return
            self._sent += 1
            self._under_way = None
            self._publish_next()
            self._moved.notify_all()

    def _say_away(self, fault: str) -> None:
        with self._moved:
            was_away, self._is_away = self._is_away, True
            self._moved.notify_all()
        if not was_away:
            _log.warning("%s %s; records are dropped until it takes them", self._address.shown, fault)


def topic_word(stream: str) -> str:
    """A stream's name as one level of a topic."""
    return re.sub(r"[^\w.-]+", "_", stream).strip("_")


def _with_small_buffer(client: Client, _: object, connection: Any) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
