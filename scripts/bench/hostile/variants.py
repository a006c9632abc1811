"""Named ways to spoil a bundle, and chance's. Whoever opens a variant must trust this machine's key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from catseye.runtime.bundle_entries import MANIFEST, SIGNATURE, array_entry
from catseye.runtime.engines.base import INPUT_NAME
from hostile.archives import spoilt_archives, spoilt_signatures
from hostile.documents import spoilt_arrays, spoilt_manifests
from hostile.encodings import spoilt_encodings
from hostile.graphs import Spoil, spoilt_graphs
from hostile.operators import spoilt_nodes
from hostile.sound_bundle import GRAPH, Entries, archive, respelt, signed, sound_entries, sound_graph

FRAMES = array_entry(INPUT_NAME)

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Variant:
    """A file to refuse.

    Args:
        kind: what was spoilt.
        name: how.
        content: of the file.
        chance: whether chance made it, so that what it spoils may be a mere number and the bundle a bundle.
    """

    kind: str
    name: str
    content: bytes
    chance: bool = False


def variants(*, count: int, seed: int) -> Iterator[Variant]:
    """``count`` of them: those that have a name, or as many of them as make four fifths, then chance's.

    The same arguments give the same variants, but for signatures by strangers' keys.
    """
    rng = np.random.default_rng(seed)
    sound = sound_entries()
    named = list(_named(sound))
    most = min(len(named), round(0.8 * count))
    for index in sorted(rng.permutation(len(named))[:most]):
        kind, name, make = named[index]
        yield Variant(kind, name, make())
    for number in range(count - most):
        yield _by_chance(sound, number, np.random.default_rng([seed, number]))


def _named(sound: Entries) -> Iterator[tuple[str, str, Make]]:
    for name, content in spoilt_archives(sound, archive(sound)):
        yield "ZIP", name, partial(bytes, content)
    for name, signature in spoilt_signatures(sound):
        yield "signature", name, partial(archive, sound | {SIGNATURE: signature})
    for name, manifest in spoilt_manifests(json.loads(sound[MANIFEST])):
        yield "manifest", name, partial(_with_manifest, sound, manifest)
    for name, entry, content in spoilt_arrays(sound):
        yield "array", name, partial(respelt, sound, entry, content)
    for kind, spoils in (("graph", spoilt_graphs()), ("node", spoilt_nodes())):
        for name, spoil in spoils:
            yield kind, name, partial(_with_graph, sound, spoil)
    for name, content in spoilt_encodings():
        yield "protobuf", name, partial(respelt, sound, GRAPH, content)


def _with_manifest(sound: Entries, manifest: bytes) -> bytes:
    return archive(signed(sound, manifest))


def _with_graph(sound: Entries, spoil: Spoil) -> bytes:
    model = sound_graph()
    spoil(model)
    return respelt(sound, GRAPH, model.SerializeToString())


def _by_chance(sound: Entries, number: int, rng: np.random.Generator) -> Variant:
    """One to eight bytes or stretches changed, in the whole file or, signed again, in what it holds."""
    place = ("file", GRAPH, "graph's head", MANIFEST, FRAMES, "signature")[number % 6]
    if place == "file":
        return Variant("file by chance", f"#{number}", _changed(archive(sound), rng))
    if place == "signature":
        content = archive(sound | {SIGNATURE: _changed(sound[SIGNATURE], rng)})
        return Variant("signature by chance", f"#{number}", content)
    if place == MANIFEST:
        content = archive(signed(sound, _changed(sound[MANIFEST], rng)))
        return Variant("manifest by chance, signed", f"#{number}", content, chance=True)
    if place == FRAMES:
        content = respelt(sound, FRAMES, _changed(sound[FRAMES], rng, below=160))
        return Variant("array by chance, signed", f"#{number}", content, chance=True)
    if place == GRAPH:
        content = respelt(sound, GRAPH, _changed(sound[GRAPH], rng))
        return Variant("graph by chance, signed", f"#{number}", content, chance=True)
    # Nodes come first in a graph, and weights, most of its bytes, after them.
    content = respelt(sound, GRAPH, _changed(sound[GRAPH], rng, below=1600))
    return Variant("graph by chance, signed", f"#{number}, nodes", content, chance=True)


def _changed(content: bytes, rng: np.random.Generator, *, below: int | None = None) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(0, min(below or len(changed), len(changed))))
        stretch = int(rng.integers(1, 9))
        match int(rng.integers(0, 5)):
            case 0:
                changed[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                changed[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
            case 2:
                del changed[at : at + stretch]
            case 3:
                changed[at:at] = rng.bytes(stretch)
            case _:
                changed[at:at] = changed[at : at + stretch]
    return bytes(changed) if bytes(changed) != content else content + b"\0"
