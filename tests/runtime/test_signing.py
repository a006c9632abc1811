"""Keys: made once, kept private, trusted by choice."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.runtime.signing import (
    KnownKey,
    check_signature,
    distrust,
    key_home,
    known_keys,
    new_key,
    public_key,
    sign,
    trust,
    trusted_keys,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_key_is_made_on_first_use_and_trusted_here(home: Path) -> None:
    signature = sign(b"message")
    assert check_signature(b"message", signature, subject="x") in trusted_keys()
    assert sign(b"message") == signature
    assert (home / "keys" / "signing.pem").stat().st_mode & 0o777 == 0o600


def test_new_key_never_replaces_one(home: Path) -> None:
    made = new_key()
    with pytest.raises(CatseyeError, match="there is a signing key already"):
        new_key()
    assert list(trusted_keys()) == [made]


def test_every_changed_byte_of_message_or_signature_is_refused() -> None:
    signature = sign(b"message")
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(InputError, match="altered"):
            check_signature(b"message", bytes(changed), subject="x")
    with pytest.raises(InputError, match="altered"):
        check_signature(b"massage", signature, subject="x")
    with pytest.raises(InputError, match="95 bytes"):
        check_signature(b"message", signature[:-1], subject="x")


def test_another_machine_trusts_by_copying_the_public_half(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = sign(b"message")
    (public,) = (home / "trusted").glob("*.pub")
    monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / "vehicle"))
    with pytest.raises(InputError, match=f"key {public.stem}, which is not trusted"):
        check_signature(b"message", signature, subject="x")
    assert trust(public) == public.stem
    assert check_signature(b"message", signature, subject="x") == public.stem


def test_key_that_others_may_read_is_refused(home: Path) -> None:
    new_key()
    (home / "keys" / "signing.pem").chmod(0o644)
    with pytest.raises(InputError, match="can be read by others; chmod 600"):
        sign(b"message")


def test_damaged_keys_are_named(home: Path, tmp_path: Path) -> None:
    new_key()
    (home / "keys" / "signing.pem").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"signing\.pem: is no signing key"):
        sign(b"message")
    (tmp_path / "other.pub").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"other\.pub: is no public key"):
        trust(tmp_path / "other.pub")
    with pytest.raises(InputError, match="no such file"):
        trust(tmp_path / "gone.pub")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=1024).public_key()
    (tmp_path / "rsa.pub").write_bytes(rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="is no Ed25519 public key"):
        trust(tmp_path / "rsa.pub")


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert key_home() == tmp_path / "home"
    monkeypatch.delenv("CATSEYE_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert key_home() == tmp_path / "catseye"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_home() == tmp_path / ".config" / "catseye"


def test_a_vehicle_takes_bundles_from_its_fleet_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the vehicle itself or a stranger signs is refused there, with the line that says how to trust."""
    signatures, files = {}, {}
    for name in ("fleet", "stranger", "vehicle"):
        monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / name))
        signatures[name] = sign(b"message")
        files[name] = tmp_path / f"{name}.pub"
        files[name].write_text(public_key())
    trust(files["stranger"])
    fleet = trust(files["fleet"], only=True)
    assert list(trusted_keys()) == [fleet]
    assert check_signature(b"message", signatures["fleet"], subject="x") == fleet
    for name in ("stranger", "vehicle"):
        with pytest.raises(InputError, match=r"not trusted on this machine.*run here: catseye keys trust"):
            check_signature(b"message", signatures[name], subject="x")


def test_keys_are_known_shown_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_keys() == []
    with pytest.raises(UsageError, match="catseye keys new"):
        public_key()
    own = new_key()
    assert known_keys() == [KnownKey(own, trusted=True, signs=True)]
    assert public_key(own) == public_key()
    distrust(own)
    assert known_keys() == [KnownKey(own, trusted=False, signs=True)]
    for unknown in (distrust, public_key):
        with pytest.raises(UsageError, match=f"{own}.*none is trusted"):
            unknown(own)


@pytest.mark.parametrize("sign_bit", [0, 1 << 255])
@pytest.mark.parametrize(
    "y",
    [
        0,
        1,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    ],
)
def test_keys_for_which_anyone_can_sign_are_refused(tmp_path: Path, y: int, sign_bit: int) -> None:
    """Encodings of the eight points of small order: with R of that kind too, S = 0 signs any message."""
    key = Ed25519PublicKey.from_public_bytes((y | sign_bit).to_bytes(32, "little"))
    file = tmp_path / "weak.pub"
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="anyone can sign"):
        trust(file)
