"""Who may make bundles for this machine: one Ed25519 signing key, and the public keys that are trusted.

Keys live in ``$CATSEYE_HOME``, else ``$XDG_CONFIG_HOME/catseye``, else ``~/.config/catseye``:
``keys/signing.pem`` (PKCS #8, mode 0600) and ``trusted/<id>.pub`` (SubjectPublicKeyInfo), both PEM.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import replacing, write_bytes

SIGNATURE_BYTES = 96
"""A raw public key of 32 bytes, then the signature of 64 (RFC 8032)."""

_PUBLIC_BYTES = 32
_OTHERS_MAY = 0o077

_PRIME = 2**255 - 19
_EIGHTH = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _EIGHTH, _PRIME - _EIGHTH})
"""The y of every encoding of a point of order 1, 2, 4 or 8: for such keys anyone can sign."""


@dataclass(frozen=True)
class KnownKey:
    """A key that this machine knows.

    Args:
        id: what bundles and messages call it.
        trusted: whether bundles that it signed open here.
        signs: whether it is the one that this machine signs with.
    """

    id: str
    trusted: bool
    signs: bool


def key_home() -> Path:
    """The folder of this machine's keys."""
    if home := os.environ.get("CATSEYE_HOME"):
        return Path(home)
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "catseye"


def new_key() -> str:
    """Make this machine's signing key and trust its public half; return the key's id.

    Raises:
        CatseyeError: there is a signing key already; it is not replaced.
    """
    path = _signing_path()
    if path.exists():
        raise CatseyeError(f"{path}: there is a signing key already; move it away first to make another")
    return _key_id(_make(path).public_key())


def trust(path: str | Path, *, only: bool = False) -> str:
    """Trust the public key in a PEM file from now on; return its id.

    Args:
        only: distrust every other key, which is how a vehicle takes bundles from its fleet alone.

    Raises:
        InputError: the file is absent or holds no Ed25519 public key, or one for which anyone can sign.
    """
    key = _trust(_read_public(Path(path)))
    if only:
        for file, other in _trusted_files():
            if _key_id(other) != key:
                file.unlink()
    return key


def distrust(key: str) -> None:
    """Trust a key no longer.

    Raises:
        UsageError: no trusted key has this id.
    """
    files = [file for file, found in _trusted_files() if _key_id(found) == key]
    if not files:
        raise UsageError(f"key {key!r}: choose from {', '.join(trusted_keys()) or 'none, none is trusted'}")
    for file in files:
        file.unlink()


def known_keys() -> list[KnownKey]:
    """The signing key, where there is one, and all that are trusted.

    Raises:
        InputError: a key's file is damaged.
    """
    path, trusted = _signing_path(), trusted_keys()
    own = _key_id(_read_private(path).public_key()) if path.exists() else None
    ids = sorted({*trusted, *([own] if own else [])})
    return [KnownKey(key, key in trusted, key == own) for key in ids]


def public_key(key: str | None = None) -> str:
    """A key's public half as PEM text, for another machine to trust: a trusted one's, or this machine's own.

    Raises:
        UsageError: there is no such key.
    """
    if key is None:
        path = _signing_path()
        if not path.exists():
            raise UsageError("this machine has no signing key; make one with: catseye keys new")
        return _pem(_read_private(path).public_key()).decode()
    trusted = trusted_keys()
    if key not in trusted:
        raise UsageError(f"key {key!r}: choose from {', '.join(trusted) or 'none, none is trusted'}")
    return _pem(trusted[key]).decode()


def trusted_keys() -> dict[str, Ed25519PublicKey]:
    """The trusted public keys by id.

    Raises:
        InputError: a file among them is no Ed25519 public key.
    """
    return {_key_id(key): key for _, key in _trusted_files()}


def sign(message: bytes) -> bytes:
    """Sign with this machine's key, made now where there is none: ``SIGNATURE_BYTES`` bytes.

    Raises:
        InputError: the key's file is damaged, or others may read it.
    """
    path = _signing_path()
    key = _read_private(path) if path.exists() else _make(path)
    return _raw(key.public_key()) + key.sign(message)


def check_signature(message: bytes, signature: bytes, *, subject: str | Path) -> str:
    """Hold a message to a trusted key; return the key's id.

    Raises:
        InputError: the signature does not fit, or its key is not trusted on this machine.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise InputError(subject, f"its signature has {len(signature)} bytes", "copy it again")
    public = hashlib.sha256(signature[:_PUBLIC_BYTES]).hexdigest()[:16]
    key = trusted_keys().get(public)
    if key is None:
        raise InputError(
            subject,
            f"is signed by key {public}, which is not trusted on this machine, or it was altered",
            f"if it should be, save what `catseye keys show` prints where it was signed as {public}.pub, "
            f"and run here: catseye keys trust {public}.pub",
        )
    try:
        key.verify(signature[_PUBLIC_BYTES:], message)
    except InvalidSignature:
        raise InputError(
            subject, f"was altered: the signature of key {public} does not fit", "copy it again"
        ) from None
    return public


def _signing_path() -> Path:
    return key_home() / "keys" / "signing.pem"


def _trusted_folder() -> Path:
    return key_home() / "trusted"


def _make(path: Path) -> Ed25519PrivateKey:
    # The public half first: were the private one alone to survive, what it signs would be refused here.
    key = Ed25519PrivateKey.generate()
    _trust(key.public_key())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path) as aside:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _trust(key: Ed25519PublicKey) -> str:
    write_bytes(_trusted_folder() / f"{_key_id(key)}.pub", _pem(key))
    return _key_id(key)


def _trusted_files() -> list[tuple[Path, Ed25519PublicKey]]:
    files = sorted(path for path in _trusted_folder().glob("*.pub") if not path.name.startswith("."))
    return [(file, _read_public(file)) for file in files]


def _read_private(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & _OTHERS_MAY:
        raise InputError(path, "can be read by others", f"chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(path, f"is no signing key ({error})", "restore a copy or make a new one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(path, "is no Ed25519 key", "restore a copy or make a new one")
    return key


def _read_public(path: Path) -> Ed25519PublicKey:
    remedy = "give the .pub file of the machine that signs"
    try:
        key = load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise InputError(path, "no such file", remedy) from None
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise InputError(path, f"is no public key ({error})", remedy) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(path, "is no Ed25519 public key", remedy)
    if int.from_bytes(_raw(key), "little") % (1 << 255) in _SMALL_ORDER:
        raise InputError(path, "is a key for which anyone can sign", remedy)
    return key


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(_raw(key)).hexdigest()[:16]
