from __future__ import annotations

from pathlib import Path

import pytest

from catseye.errors import InputError, UsageError
from catseye.runtime.outputs.mqtt_address import MqttAddress


@pytest.fixture(autouse=True)
def _no_password_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATSEYE_MQTT_PASSWORD", raising=False)
    monkeypatch.delenv("CATSEYE_MQTT_PASSWORD_FILE", raising=False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker/fleet", MqttAddress("broker", 1883, "fleet")),
        ("mqtts://broker/fleet/van-7/", MqttAddress("broker", 8883, "fleet/van-7", encrypted=True)),
        ("mqtt://10.0.0.9:77/a", MqttAddress("10.0.0.9", 77, "a")),
        ("mqtt://[::1]:77/a", MqttAddress("::1", 77, "a")),
        ("mqtt://van@b/a", MqttAddress("b", 1883, "a", user="van")),
        ("mqtt://van:p%40ss%2Fw@b/a%20b", MqttAddress("b", 1883, "a b", user="van", password="p@ss/w")),
    ],
)
def test_addresses(url: str, address: MqttAddress) -> None:
    assert MqttAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://broker/fleet", "no address of a broker"),
        ("broker/fleet", "no address of a broker"),
        ("mqtt:///fleet", "no address of a broker"),
        ("mqtt://broker", "needs a topic"),
        ("mqtt://broker/", "needs a topic"),
        ("mqtt://broker/fleet/#", "needs a topic"),
        ("mqtt://broker/fleet/+/a", "needs a topic"),
        ("mqtt://broker/$SYS", "needs a topic"),
        ("mqtt://broker/fleet?qos=1", "needs a topic"),
        ("mqtt://broker:99999/fleet", "the port"),
        ("mqtt://broker:0/fleet", "no address of a broker"),
        ("mqtt://van:secret@broker:x/fleet", "the port"),
        ("mqtt://van:secret@broker", "needs a topic"),
        ("mqtt://van:sec/secret@broker/fleet", "the port"),
        ("mqtt://van:sec@secret@/fleet", "no address of a broker"),
        ("ftp://van:secret@broker/fleet", "no address of a broker"),
    ],
)
def test_what_is_none_is_told_without_its_password(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        MqttAddress.parse(url)
    assert "secret" not in str(refused.value) and "van" not in str(refused.value)
    assert "write mqtt[s]://" in str(refused.value)


def test_a_password_is_never_shown() -> None:
    address = MqttAddress.parse("mqtts://van:secret@broker/fleet")
    assert "secret" not in repr(address) + str(address) + address.shown
    assert address.shown == "mqtts://broker:8883/fleet"
    assert MqttAddress.parse("mqtt://[::1]/a").shown == "mqtt://[::1]:1883/a"


def test_a_password_that_the_url_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATSEYE_MQTT_PASSWORD", "kept")
    assert MqttAddress.parse("mqtt://van@b/a").password == "kept"
    assert MqttAddress.parse("mqtt://van:other@b/a").password == "other"
    assert MqttAddress.parse("mqtt://b/a").password is None
    (tmp_path / "password").write_text("in a file\n")
    monkeypatch.setenv("CATSEYE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    assert MqttAddress.parse("mqtt://van@b/a").password == "in a file"
    (tmp_path / "password").unlink()
    with pytest.raises(InputError, match="CATSEYE_MQTT_PASSWORD_FILE names"):
        MqttAddress.parse("mqtt://van@b/a")
