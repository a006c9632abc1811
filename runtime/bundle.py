"""The contract between export and the vehicle: one signed file, ``NAME.catseye``.

``manifest.json`` holds size and SHA-256 of every other entry, and ``manifest.sig`` signs it. Nothing is
parsed before the signature holds, and no native library sees a graph before ``onnx_reader`` has walked it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from catseye.errors import InputError
from catseye.files import replacing
from catseye.runtime.archive import REMEDY, canonical, read_archive
from catseye.runtime.bundle_entries import FRAGMENT, LIMITS, MANIFEST, PARITY, SIGNATURE
from catseye.runtime.manifest import Entry, Manifest
from catseye.runtime.npy import parse_array
from catseye.runtime.onnx_reader import Value, check_model
from catseye.runtime.signing import check_signature, sign

_REQUIRED = (MANIFEST, SIGNATURE, "fp32.onnx", FRAGMENT, PARITY)
_BY_MANIFEST = frozenset(name for name in LIMITS if name.endswith((".onnx", ".npy")))
"""Entries that are there exactly where the manifest says so."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been checked in full, in memory.

    Args:
        path: where it was read from.
        manifest: what it says of itself.
        key: id of the trusted key that signed it.
        sha256: identity of the whole file.
        entries: content by entry name.
    """

    path: Path
    manifest: Manifest
    key: str
    sha256: str
    entries: Mapping[str, bytes | memoryview]

    def graph(self, precision: str = "fp32") -> bytes:
        """The serialised ONNX model of one precision.

        Raises:
            InputError: the bundle has none of that precision.
        """
        if precision not in self.manifest.precisions:
            have = ", ".join(self.manifest.precisions)
            raise InputError(self.path, f"has no {precision} graph", f"choose from {have}, or export again")
        return bytes(self.entries[f"{precision}.onnx"])

    def array(self, entry: str) -> NDArray[Any]:
        """An entry in NumPy's .npy format, of the type and shape that the manifest says."""
        return _parse_entry(self.path, entry, self.entries[entry], self.manifest.arrays()[entry])


def write_bundle(path: str | Path, manifest: Manifest, entries: Mapping[str, bytes]) -> Manifest:
    """Sign and write a bundle; return the manifest with its entries filled in.

    The same manifest, entries and key give the same bytes. A signing key is made where there is none.

    Args:
        path: file to write.
        manifest: all but ``entries``.
        entries: content by name; names as in ``LIMITS``, without the manifest and its signature.
    """
    described = {
        name: Entry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in sorted(entries.items())
    }
    manifest = manifest.model_copy(update={"entries": described})
    document = manifest.to_json().encode()
    complete = {MANIFEST: document, SIGNATURE: sign(document), **entries}
    with replacing(path) as aside, aside.open("wb") as stream:
        for piece in canonical((name, complete[name]) for name in LIMITS if name in complete):
            stream.write(piece)
    return manifest


def open_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check all of it: form, signature, hashes, schema, graphs, the proof's arrays.

    Raises:
        InputError: the file is absent or no bundle, was altered, is signed by a key that is not trusted here,
            is of a newer major version, or holds a graph that may not be run.
    """
    path = Path(path)
    entries = read_archive(path, limits=LIMITS)
    for name in _REQUIRED:
        if name not in entries:
            raise InputError(path, f"lacks {name}", REMEDY)
    key = check_signature(bytes(entries[MANIFEST]), bytes(entries[SIGNATURE]), subject=path)
    manifest = Manifest.parse(bytes(entries[MANIFEST]), subject=f"{path}: {MANIFEST}")
    _check_entries(path, manifest, entries)
    if "fp32" not in manifest.precisions or manifest.cpu_precision not in manifest.precisions:
        raise InputError(path, "names precisions that it has not", REMEDY)
    for precision in manifest.precisions:
        _check_graph(path, manifest, f"{precision}.onnx", entries)
    for name, value in manifest.arrays().items():
        _parse_entry(path, name, entries[name], value)
    whole = hashlib.sha256()
    for piece in canonical(entries.items()):
        whole.update(piece)
    return Bundle(path, manifest, key, whole.hexdigest(), entries)


def _parse_entry(path: Path, name: str, content: bytes | memoryview, value: Value) -> NDArray[Any]:
    return parse_array(content, dtype=value.dtype, shape=value.shape, subject=f"{path}: {name}")


def _check_entries(path: Path, manifest: Manifest, entries: Mapping[str, memoryview]) -> None:
    named = set(entries) - {MANIFEST, SIGNATURE}
    graphs = {f"{precision}.onnx" for precision in manifest.precisions}
    proof = set(manifest.arrays())
    for name in sorted(proof - named):
        raise InputError(path, f"lacks {name}", REMEDY)
    if named != set(manifest.entries) or named & _BY_MANIFEST != graphs | proof:
        raise InputError(path, "does not hold the entries that its manifest names", REMEDY)
    for name, entry in manifest.entries.items():
        content = entries[name]
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise InputError(path, f"was altered: {name} is not what was signed", REMEDY)


def _check_graph(path: Path, manifest: Manifest, name: str, entries: Mapping[str, memoryview]) -> None:
    summary = check_model(entries[name], subject=f"{path}: {name}")
    if (summary.inputs, summary.outputs) != manifest.interface():
        raise InputError(f"{path}: {name}", "has other inputs or outputs than the manifest says", REMEDY)
