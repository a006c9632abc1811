"""``catseye run --mcap`` and ``--mqtt`` as a user calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import Command
from ending import sigterm_once

from catseye.capture.calibration import Calibration

from .broker import Broker, Listener, needs_broker, until

pytest.importorskip("mcap", reason="the library for MCAP is not installed")
pytest.importorskip("paho.mqtt", reason="the library for MQTT is not installed")

from mcap.reader import make_reader

CAMERA = Calibration(width=320, height=192, K=((300, 0, 160), (0, 300, 96), (0, 0, 1)))


def records_in(path: Path) -> list[dict[str, object]]:
    with path.open("rb") as stream:
        return [
            json.loads(message.data)
            for _, channel, message in make_reader(stream).iter_messages()
            if channel.topic.endswith("/record")
        ]


@needs_broker
def test_a_file_gives_the_same_records_everywhere(
    catseye: Command, tiny_bundle: Path, lamps: Path, tmp_path: Path
) -> None:
    jsonl, mcap = tmp_path / "tracks.jsonl", tmp_path / "tracks.mcap"
    CAMERA.save(tmp_path / "camera.json")
    with Broker(tmp_path) as broker, Listener(broker.port) as listener:
        called = catseye(
            *("run", tiny_bundle, lamps, "--threads", "1", "--json", "--jsonl", jsonl, "--mcap", mcap),
            *(
                "--mqtt",
                f"mqtt://127.0.0.1:{broker.port}/fleet/van-7",
                "--calibration",
                tmp_path / "camera.json",
            ),
        )
        assert called.code == 0, called.err
        told = json.loads(called.out)["mqtt"]
        assert told["sent"] + told["dropped"] == 40 and told["connections"] == 1
        until(lambda: b"offline" in listener.of("fleet/van-7/status"))
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert records_in(mcap) == records and len(records) == 40
    (topic,) = {topic for topic, _, _ in listener.heard} - {"fleet/van-7/status"}
    heard = [json.loads(payload) for payload in listener.of(topic)]
    assert len(heard) == told["sent"] and heard == [r for r in records if r in heard]
    with mcap.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert {channel.topic for channel in summary.channels.values()} == {
        f"{lamps}/{name}" for name in ("picture", "annotations", "calibration", "scene", "record")
    }


@needs_broker
def test_cameras_until_sigterm(catseye: Command, tiny_bundle: Path, camera: str, tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Listener(broker.port) as listener:
        with sigterm_once(lambda: bool(listener.of("fleet/front") and listener.of("fleet/rear"))):
            called = catseye(
                *("run", tiny_bundle, f"front={camera}", f"rear={camera}", "--threads", "1", "--json"),
                *("--mcap", tmp_path / "drive.mcap", "--mqtt", f"mqtt://127.0.0.1:{broker.port}/fleet"),
            )
        until(lambda: b"offline" in listener.of("fleet/status"))
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    (path,) = tmp_path.glob("drive-*.mcap*")
    assert path.suffix == ".mcap"
    records = records_in(path)
    for stream in summary["streams"]:
        mine = [record for record in records if record["stream"] == stream["stream"]]
        assert len(mine) == stream["processed"] > 0
    assert summary["mqtt"]["sent"] + summary["mqtt"]["dropped"] == len(records)
    with path.open("rb") as stream:
        times = {
            message.log_time / 1e9 - json.loads(message.data)["capture_time_s"]
            for _, channel, message in make_reader(stream).iter_messages()
            if channel.topic.endswith("/record")
        }
    assert max(map(abs, times)) < 1e-5


def test_the_summary_tells_what_the_broker_missed(
    catseye: Command, tiny_bundle: Path, lamps: Path, caplog: pytest.LogCaptureFixture
) -> None:
    called = catseye("run", tiny_bundle, lamps, "--threads", "1", "--mqtt", "mqtt://van:secret@127.0.0.1:9/a")
    assert called.code == 0 and "MQTT: 0 records sent, 40 dropped" in called.out
    assert "mqtt://127.0.0.1:9/a cannot be reached" in called.err
    assert "secret" not in called.out + called.err + caplog.text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["FILE", "--mcap", "tracks.bag"], 2, "mcap is tracks.bag: its name must end in .mcap"),
        (["FILE", "--mcap", "a.mcap", "--mcap-pictures", "-1"], 2, "mcap_pictures is -1"),
        (["FILE", "--mqtt", "http://broker/a"], 2, "no address of a broker"),
        (["FILE", "--mqtt", "mqtt://van:secret@broker"], 2, "mqtt://broker: it needs a topic"),
        (["status=FILE", "--mqtt", "mqtt://broker/a"], 2, "stream 'status'"),
    ],
)
def test_what_cannot_be_is_one_line(
    catseye: Command, tiny_bundle: Path, lamps: Path, arguments: list[str], code: int, words: str
) -> None:
    called = catseye("run", tiny_bundle, *(word.replace("FILE", str(lamps)) for word in arguments))
    assert called.code == code and words in called.line and "secret" not in called.err


@pytest.mark.parametrize(
    ("module", "option", "value", "extra"),
    [
        ("mcap.writer", "--mcap", "a.mcap", "mcap"),
        ("paho.mqtt.client", "--mqtt", "mqtt://broker/a", "mqtt"),
    ],
)
def test_a_library_that_is_missing_is_told_with_its_extra(
    module: str,
    option: str,
    value: str,
    extra: str,
    catseye: Command,
    tiny_bundle: Path,
    lamps: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    called = catseye("run", tiny_bundle, lamps, option, value)
    assert called.code == 1 and f"pip install 'catseye[{extra}]'" in called.line
