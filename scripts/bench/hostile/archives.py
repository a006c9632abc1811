"""Faults of the ZIP and of the signature."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from catseye.runtime.archive import canonical
from catseye.runtime.bundle_entries import MANIFEST, SIGNATURE
from catseye.runtime.signing import sign
from hostile.sound_bundle import GRAPH, Entries, archive

_ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group

_NAMES = {
    "parent folder": "../fp32.onnx",
    "parents": "../../../../etc/cron.d/x",
    "absolute": "/etc/passwd",
    "backslash": "..\\fp32.onnx",
    "drive letter": "C:\\fp32.onnx",
    "inner parent": "proof/../fp32.onnx",
    "dot": "./fp32.onnx",
    "doubled slash": "proof//frames.npy",
    "zero byte": "fp32.onnx\0.txt",
    "zero byte before": "\0fp32.onnx",
    "Cyrillic letter": "fр32.onnx",
    "full-width letters": "ｆp32.onnx",
    "right-to-left mark": "\u202efp32.onnx",
    "combining accent": "fp32.onnx\u0301",
    "upper case": "FP32.ONNX",
    "trailing space": "fp32.onnx ",
    "trailing dot": "fp32.onnx.",
    "trailing slash": "fp32.onnx/",
    "external data": "fp32.onnx.data",
    "empty": "",
    "line break": "fp32\n.onnx",
    "escape sequence": "\x1b[31mfp32.onnx",
    "a megabyte long": "x" * 65535,
    "shared library": "libnvinfer_plugin.so",
    "plan": "fp32.plan",
    "pickle": "model.pkl",
}


def spoilt_archives(sound: Entries, whole: bytes) -> Iterator[tuple[str, bytes]]:
    for name, path in _NAMES.items():
        yield f"entry's name: {name}", zipped({**sound, path: b"evil"})
        renamed = {(path if entry == GRAPH else entry): content for entry, content in sound.items()}
        yield f"graph renamed: {name}", zipped(renamed)
    for entry in sound:
        twice = [*sound.items(), (entry, sound[entry])]
        yield f"twice: {entry}", b"".join(canonical(twice))
        yield f"twice, other content: {entry}", b"".join(canonical([*sound.items(), (entry, b"evil")]))
        yield f"missing: {entry}", archive({k: v for k, v in sound.items() if k != entry})
        yield f"compressed: {entry}", zipped(sound, compressed=entry)
        yield f"bomb: {entry}", zipped(sound | {entry: bytes(8 << 20)}, compressed=entry)
        yield f"wrong checksum: {entry}", _patched(whole, entry, 14, struct.pack("<L", 1))
    start = {entry: whole.index(entry.encode()) - 30 for entry in (MANIFEST, GRAPH)}
    for entry, at in start.items():
        for name, offset, value in (
            ("encrypted", 6, struct.pack("<H", 1)),
            ("sizes behind the content", 6, struct.pack("<H", 8)),
            ("strong encryption", 6, struct.pack("<H", 65)),
            ("method LZMA", 8, struct.pack("<H", 14)),
            ("method unknown", 8, struct.pack("<H", 99)),
            ("size of 4 GB", 18, b"\xff" * 8),
            ("size of 0", 18, b"\0" * 8),
            ("size one more", 22, struct.pack("<L", len(sound[entry]) + 1)),
            ("size one less", 22, struct.pack("<L", len(sound[entry]) - 1)),
            ("name longer than the file", 26, struct.pack("<H", 65535)),
            ("extra field longer than the file", 28, struct.pack("<H", 65535)),
            ("date", 10, b"\x21\x21\x21\x21"),
            ("version 4.5", 4, struct.pack("<H", 45)),
        ):
            yield f"local header, {name}: {entry}", _overwritten(whole, at + offset, value)
    directory = whole.index(b"PK\x01\x02")
    for name, offset, value in (
        ("symbolic link", 38, struct.pack("<L", 0o120777 << 16)),
        ("device", 38, struct.pack("<L", 0o060666 << 16)),
        ("setuid", 38, struct.pack("<L", 0o104777 << 16)),
        ("made by Unix", 5, b"\x03"),
        ("other offset", 42, struct.pack("<L", 77)),
        ("offset behind the end", 42, b"\xff\xff\xff\xff"),
        ("other size", 20, struct.pack("<LL", 1, 1)),
        ("zip64 size", 20, b"\xff" * 8),
        ("other checksum", 16, struct.pack("<L", 1)),
        ("other name", 46, b"manifest.jsoN"),
        ("other disk", 34, struct.pack("<H", 1)),
        ("comment", 32, struct.pack("<H", 3)),
        ("encrypted", 8, struct.pack("<H", 1)),
        ("compressed", 10, struct.pack("<H", 8)),
    ):
        yield f"directory, {name}", _overwritten(whole, directory + offset, value)
    end = len(whole) - 22
    for name, offset, value in (
        ("65535 entries", 8, b"\xff" * 4),
        ("no entries", 8, b"\0" * 4),
        ("directory of 4 GB", 12, b"\xff" * 4),
        ("directory elsewhere", 16, b"\0" * 4),
        ("zip64 directory", 16, b"\xff" * 4),
        ("other disk", 4, b"\1\0\1\0"),
        ("comment longer than the file", 20, b"\xff\xff"),
    ):
        yield f"end, {name}", _overwritten(whole, end + offset, value)
    yield "comment", _overwritten(whole, end + 20, struct.pack("<H", 4)) + b"evil"
    yield "bytes after the end", whole + b"\0"
    yield "a megabyte after the end", whole + bytes(1 << 20)
    yield "a second archive after the end", whole + whole
    yield "bytes before the start", b"#!/bin/sh\n" + whole
    yield "bytes before the directory", whole[:directory] + b"evil" + whole[directory:]
    yield "no directory", whole[:directory]
    yield "two directories", whole[:end] + whole[directory:]
    yield "no end", whole[:end]
    yield "empty file", b""
    yield "one byte", b"P"
    yield "end alone", whole[end:]
    yield "text", b"hello\n"
    yield "ELF", b"\x7fELF" + bytes(100)
    yield "gzip", b"\x1f\x8b\x08" + bytes(100)
    yield "quoted headers", _quoted(sound)
    yield "overlapping entries", _overlapping(whole)
    yield "many entries", b"".join(canonical((f"{index}", b"") for index in range(20_000)))
    yield "zip64 extra field", zipped(sound, extra=struct.pack("<HHQQ", 1, 16, 1 << 40, 1 << 40))
    yield "Unicode path extra field", zipped(sound, extra=struct.pack("<HHBL", 0x7075, 9, 1, 0) + b"evil")
    for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        yield f"cut off after {share:.0%}", whole[: int(len(whole) * share)]


def zipped(entries: Entries, *, compressed: str | None = None, extra: bytes = b"") -> bytes:
    """As Python's own library writes it, but that names are free."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.extra = name, extra
            method = zipfile.ZIP_DEFLATED if name == compressed else zipfile.ZIP_STORED
            file.writestr(info, content, method)
    return stream.getvalue()


def _overwritten(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def _patched(whole: bytes, entry: str, offset: int, value: bytes) -> bytes:
    """A local header and its copy in the directory, alike."""
    name = entry.encode()
    local, copy = whole.index(name) - 30, whole.rindex(name) - 46
    return _overwritten(_overwritten(whole, local + offset, value), copy + offset + 2, value)


def _quoted(sound: Entries) -> bytes:
    """Each entry holds the headers of all later ones (D. Fifield, A better zip bomb, 2019)."""
    inner = b""
    for name in reversed(list(sound)):
        header = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0x21, zlib.crc32(inner), len(inner), len(inner), len(name), 0
        )
        inner = header + name.encode() + inner
    return inner


def _overlapping(whole: bytes) -> bytes:
    """Every entry of the directory at the place of the first."""
    content = bytearray(whole)
    at = whole.index(b"PK\x01\x02")
    while content[at : at + 4] == b"PK\x01\x02":
        content[at + 42 : at + 46] = bytes(4)
        at += 46 + struct.unpack_from("<H", content, at + 28)[0]
    return bytes(content)


def spoilt_signatures(sound: Entries) -> Iterator[tuple[str, bytes]]:
    message, signature = sound[MANIFEST], sound[SIGNATURE]
    key, r, s = signature[:32], signature[32:64], int.from_bytes(signature[64:], "little")
    stranger = Ed25519PrivateKey.generate()
    strangers = stranger.public_key().public_bytes_raw()
    yield "of a stranger", strangers + stranger.sign(message)
    yield "of a stranger below our key", key + stranger.sign(message)
    yield "ours below a stranger's key", strangers + signature[32:]
    yield "of another message", sign(b"another")
    yield "all zero", bytes(96)
    yield "zero below our key", key + bytes(64)
    yield "all ones", b"\xff" * 96
    yield "empty", b""
    for length in (1, 32, 64, 95):
        yield f"cut off after {length} bytes", signature[:length]
    yield "longer", signature + b"\0"
    yield "halves changed about", key + signature[64:] + r
    yield "text", b"-----BEGIN PUBLIC KEY-----".ljust(96)
    for times in (1, 2, 8, 15):
        if s + times * _ORDER < 1 << 256:
            yield (
                f"S with {times} times the order added",
                key + r + (s + times * _ORDER).to_bytes(32, "little"),
            )
    yield "-S", key + r + (_ORDER - s).to_bytes(32, "little")
    yield "S = 0", key + r + bytes(32)
    prime = 2**255 - 19
    for y in (0, 1, prime - 1, prime, prime + 1, 2**255 - 1):
        point = y.to_bytes(32, "little")
        yield f"key of small order {y:#x}", point + point + bytes(32)
        yield f"R of small order {y:#x}", key + point + bytes(32)
        yield f"R of small order {y:#x}, S ours", key + point + signature[64:]
    for at in range(0, 96, 7):
        yield f"byte {at} changed", signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
