"""Records to a real broker, which is killed, held up and locked against us."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest

from catseye.errors import MissingExtraError
from catseye.runtime.outputs import mqtt
from catseye.runtime.outputs.mqtt import MOST_WAITING, MqttOutput
from catseye.runtime.outputs.mqtt_address import MqttAddress
from catseye.runtime.results import SCHEMA_FILE
from catseye.runtime.stream_summary import Delivery

from .broker import Broker, Listener, needs_broker, until
from .sights import a_frame, a_result, crowded

pytest.importorskip("paho.mqtt", reason="the library for MQTT is not installed")

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    needs_broker,
]

FRAME = a_frame(0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def output_to(broker: Broker, *, who: str = "", scheme: str = "mqtt", host: str = "127.0.0.1") -> MqttOutput:
    return MqttOutput(MqttAddress.parse(f"{scheme}://{who}{host}:{broker.port}/fleet/van"))


def frames_of(payloads: list[bytes]) -> list[int]:
    return [json.loads(payload)["frame"] for payload in payloads]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_each_record_goes_to_the_topic_of_its_stream(broker: Broker) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    with Listener(broker.port) as listener:
        with output_to(broker) as output:
            for number in range(20):
                output.write(FRAME, a_result(number))
                output.write(FRAME, a_result(number, stream="clips/rear #1.mp4"))
            until(lambda: len(listener.of("fleet/van/front")) == 20)
        assert output.delivery() == Delivery(sent=40, dropped=0, connections=1)
        until(lambda: listener.of("fleet/van/status") == [b"online", b"offline"])
    records = [json.loads(payload) for payload in listener.of("fleet/van/front")]
    for record in records:
        validator.validate(record)
    assert records == [a_result(number).record() for number in range(20)]
    assert frames_of(listener.of("fleet/van/clips_rear_1.mp4")) == list(range(20))


def test_what_was_written_before_the_connection_is_sent_before_the_end(broker: Broker) -> None:
    with Listener(broker.port) as listener:
        with output_to(broker) as output:
            for number in range(MOST_WAITING):
                output.write(FRAME, a_result(number))
        assert output.delivery().sent == MOST_WAITING
        until(lambda: len(listener.of("fleet/van/front")) == MOST_WAITING)


def test_who_comes_later_is_told_whether_we_are_there(broker: Broker) -> None:
    with output_to(broker) as output:
        until(lambda: output.delivery().connections)
        with Listener(broker.port) as listener:
            until(lambda: ("fleet/van/status", b"online", True) in listener.heard)
    with Listener(broker.port) as listener:
        until(lambda: ("fleet/van/status", b"offline", True) in listener.heard)
    assert listener.of("fleet/van/front") == []


def test_the_broker_tells_that_we_have_vanished(broker: Broker) -> None:
    script = f"""
import os, signal
from catseye.runtime.outputs.mqtt import MqttOutput
from catseye.runtime.outputs.mqtt_address import MqttAddress
with MqttOutput(MqttAddress.parse("mqtt://127.0.0.1:{broker.port}/fleet/van")) as output:
    while not output.delivery().connections:
        pass
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with Listener(broker.port) as listener:
        process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
        until(lambda: listener.of("fleet/van/status") == [b"online"])
        process.communicate(b"\n")
        assert process.returncode == -signal.SIGKILL
        until(lambda: listener.of("fleet/van/status") == [b"online", b"offline"])


def test_a_broker_killed_and_started_again_is_found_again(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "catseye")
    written = 0

    def write(count: int) -> None:
        nonlocal written
        for _ in range(count):
            output.write(FRAME, a_result(written))
            written += 1

    with Listener(broker.port) as listener, output_to(broker) as output:
        write(10)
        until(lambda: len(listener.of("fleet/van/front")) == 10)
        broker.kill()
        until(lambda: warnings_of(caplog))
        write(1000)  # returns although nobody is there
        assert output.delivery().dropped >= 1000 - MOST_WAITING
        newest = range(written - MOST_WAITING, written)
        assert frames_of([payload for _, payload in output._waiting]) == list(newest)
        broker.start()
        until(lambda: output.delivery().connections == 2)
        until(lambda: output.delivery().sent + output.delivery().dropped == written)
        listener.heard.clear()
        until(lambda: write(1) or listener.of("fleet/van/front"))
    delivery = output.delivery()
    assert delivery.sent + delivery.dropped == written and delivery.sent >= 10 + MOST_WAITING
    assert len(warnings_of(caplog)) == 1 and "records are dropped until" in caplog.text
    assert "is back" in caplog.text
    came = frames_of(listener.of("fleet/van/front"))
    assert came == sorted(came)


def test_a_broker_that_takes_nothing_holds_nothing_up(broker: Broker) -> None:
    """The system's buffers take some; what is beyond is dropped, the oldest first."""
    big, count = crowded(a_result(0), 200), 300
    with Listener(broker.port) as listener, output_to(broker) as output:
        until(lambda: output.delivery().connections)
        output.write(FRAME, a_result(0))
        until(lambda: output.delivery().sent == 1)
        broker.hold_up()
        for _ in range(count):
            output.write(FRAME, big)
        output.write(FRAME, a_result(7))
        held = output.delivery()
        connection = output._client.socket()
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 1 << 18
        assert len(output._waiting) <= MOST_WAITING
        assert held.dropped > count // 3
        # Paho's own queue, which has no end, has no more than one.
        assert len(output._client._out_packet) <= 1
        broker.let_go_on()
        until(lambda: output.delivery().sent + output.delivery().dropped == count + 2)
        until(lambda: 7 in frames_of(listener.of("fleet/van/front")))
        listened = len(listener.of("fleet/van/front"))
    assert listened == output.delivery().sent < count


def test_what_was_under_way_to_a_broker_that_dies_is_given_up(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    big, count = crowded(a_result(0), 200), 300
    with output_to(broker) as output:
        until(lambda: output.delivery().connections)
        broker.hold_up()
        for _ in range(count):
            output.write(FRAME, big)
        assert output._under_way is not None
        broker.kill()
        until(lambda: warnings_of(caplog))
        broker.start()
        until(lambda: output.delivery().sent + output.delivery().dropped == count)
        with Listener(broker.port) as listener:
            output.write(FRAME, a_result(7))
            until(lambda: listener.of("fleet/van/front"))


def test_at_the_end_a_broker_that_takes_nothing_is_not_waited_for_long(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_DRAIN_S", 0.2)
    monkeypatch.setattr(mqtt, "_LEAVE_S", 0.2)
    monkeypatch.setattr(mqtt, "_KEEPALIVE_S", 3600)  # which paho would wait for
    big = crowded(a_result(0), 200)
    with output_to(broker) as output:
        until(lambda: output.delivery().connections)
        broker.hold_up()
        for _ in range(300):
            output.write(FRAME, big)
        # However little room the system has left for more, it has none now.
        until(lambda: output._tell_status("still here") or len(output._client._out_packet) > 5)
    delivery = output.delivery()
    assert delivery.sent + delivery.dropped == 300
    broker.let_go_on()


@pytest.mark.parametrize("who", ["van:wrong-secret@", "van@", ""])
def test_a_wrong_password_is_said_in_one_line(
    who: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATSEYE_MQTT_PASSWORD", "wrong-secret")
    caplog.set_level(logging.DEBUG)
    tried = threading.Event()
    with Broker(tmp_path, passwords={"van": "right-secret"}) as broker, output_to(broker, who=who) as output:
        say_away = output._say_away
        attempts = []
        monkeypatch.setattr(
            output, "_say_away", lambda fault: (attempts.append(fault), say_away(fault), tried.set())
        )
        output._client.on_connect = output._on_connect
        for number in range(100):
            output.write(FRAME, a_result(number))
        until(lambda: len(attempts) >= 2)
    (line,) = warnings_of(caplog)
    assert f"mqtt://127.0.0.1:{broker.port}/fleet/van refuses us (Not authorized)" in line
    assert output.delivery() == Delivery(sent=0, dropped=100, connections=0)
    assert "secret" not in caplog.text


@pytest.mark.parametrize("kept", [False, True])
def test_the_right_password_from_the_url_or_the_environment(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept:
        monkeypatch.setenv("CATSEYE_MQTT_PASSWORD", "p@ss/word")
    who = "van@" if kept else "van:p%40ss%2Fword@"
    with Broker(tmp_path, passwords={"van": "p@ss/word"}) as broker:
        with output_to(broker, who=who) as output:
            output.write(FRAME, a_result(0))
        assert output.delivery() == Delivery(sent=1, dropped=0, connections=1)


def test_where_nobody_listens_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = MqttAddress("127.0.0.1", free.getsockname()[1], "fleet")
        with MqttOutput(address) as output:
            until(lambda: warnings_of(caplog))
            output.write(FRAME, a_result(0))
    (line,) = warnings_of(caplog)
    assert "cannot be reached" in line and "Connection refused" in line
    assert output.delivery() == Delivery(sent=0, dropped=1, connections=0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that signs itself, for localhost, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "broker.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "broker.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "broker.pem", folder / "broker.key"


# Paho leaves a connection whose handshake fails to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("trusted", [True, False])
def test_over_tls_only_to_a_broker_that_is_trusted(
    trusted: bool,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with Broker(tmp_path, tls=certificate) as broker:
        with output_to(broker, scheme="mqtts", host="localhost") as output:
            output.write(FRAME, a_result(0))
            until(lambda: output.delivery().sent or warnings_of(caplog))
        assert output.delivery().sent == trusted
    assert trusted or "certificate verify failed" in caplog.text


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'catseye\[mqtt\]'"):
        MqttOutput(MqttAddress("broker", 1883, "fleet"))
