"""Keys: made once, kept private, trusted by choice."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catseye.errors import CatseyeError, InputError
from catseye.runtime.signing import check_signature, key_home, new_key, sign, trust, trusted_keys


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
