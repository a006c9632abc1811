"""Faults of the manifest and of the proof's arrays."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from catseye.runtime.bundle_entries import array_entry, fragment_entry
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.manifest import Manifest
from hostile.archives import zipped
from hostile.sound_bundle import GRAPH, Entries

NEWER = f"{int(Manifest.VERSION.partition('.')[0]) + 1}.0"


def spoilt_manifests(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    text = json.dumps(document)
    for name, path, values in (
        (
            "version",
            ("schema_version",),
            (NEWER, "", "x", None, 2, "1" * 100_000 + ".0", "²" * 3 + ".0", "-1.0", "2.0\n"),
        ),
        ("width", ("network", "width"), (0, -96, 10**9, 10**400, 96.5, "wide", None, True, [96])),
        ("height", ("network", "height"), (0, -64, 8192, 2**63)),
        ("batch", ("network", "batch"), (0, -1, 10**9, 2, 1e300)),
        ("input", ("network", "input"), ("bgr8", "", 1, "../rgb8")),
        ("fit", ("network", "fit"), ("x", 3)),
        ("top_k", ("top_k",), (0, -8, 9, 10**9, 2**64, "many")),
        ("classes", ("classes",), ([], "car", [1, 2], {"car": 1}, None)),
        ("embedding_dim", ("embedding_dim",), (0, -1, 4, 10**12)),
        ("depth_shape", ("depth_shape",), ([16, 24], [-16, 24], [10**9, 10**9], [1], "x")),
        ("depth", ("depth",), ({"width": -1, "height": 1, "canonical_focal_px": 1, "metric": True}, 7)),
        ("proof_frames", ("proof_frames",), (0, -2, 3, 10**9, 10**30)),
        ("fragment_frames", ("fragment_frames",), (0, -2, 2, 10**9)),
        ("precisions", ("precisions",), (["int8"], ["fp32", "int8"], ["fp64"], [], ["../fp32"], "fp32")),
        ("cues", ("cues",), (["magic"], 3)),
        ("nms_iou", ("nms_iou",), (-1, 2, "x")),
        ("score_threshold", ("score_threshold",), (-1, 2, 10**400)),
        ("provenance", ("provenance",), (None, [], {})),
        ("metrics", ("provenance", "metrics"), ({"map": "high"}, [1])),
        ("entries", ("entries",), ({}, [], None, {"fp32.onnx": {}})),
        ("size of the graph", ("entries", GRAPH, "size"), (0, -1, 10**12, 2**64)),
        ("hash of the graph", ("entries", GRAPH, "sha256"), ("", "0" * 64, 7, None)),
        ("name", ("name",), (None, 7, {}, [])),
    ):
        for value in values:
            yield f"{name} is {str(value)[:20]!r}", json.dumps(_put(document, path, value)).encode()
    for name, number in (
        ("NaN", "NaN"),
        ("infinite", "Infinity"),
        ("minus infinite", "-Infinity"),
        ("1e999", "1e999"),
        ("of 100,000 digits", "1" * 100_000),
    ):
        for path in (
            ("score_threshold",),
            ("tolerances", "relative"),
            ("tolerances", "frame_max"),
            ("top_k",),
        ):
            marked = json.dumps(_put(document, path, "HERE"))
            yield f"{path[-1]} is {name}", marked.replace('"HERE"', number).encode()
    for field in (
        "classes",
        "network",
        "top_k",
        "proof_frames",
        "provenance",
        "entries",
        "name",
        "schema_version",
    ):
        yield f"without {field}", json.dumps({k: v for k, v in document.items() if k != field}).encode()
        yield f"{field} twice", (text[:-1] + f', "{field}": {json.dumps(document[field])}}}').encode()
    graph = document["entries"][GRAPH]
    yield (
        "entry twice",
        text.replace('"entries": {', f'"entries": {{"{GRAPH}": {json.dumps(graph)}, ').encode(),
    )
    yield "entry of another name", json.dumps(_put(document, ("entries", "../x"), graph)).encode()
    yield "entry not there", json.dumps(_put(document, ("entries", "int8.onnx"), graph)).encode()
    for depth in (100, 1000, 100_000):
        for name, opening, closing in (("lists", "[", "]"), ("objects", '{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            yield f"{depth} {name} deep", text.replace('"sound"', nested).encode()
    yield "100,000 lists never closed", b"[" * 100_000
    for name, content in {
        "empty": b"",
        "a list": b"[]",
        "a number": b"1",
        "null": b"null",
        "cut off": text[: len(text) // 2].encode(),
        "two documents": (text + text).encode(),
        "not UTF-8": text.encode().replace(b"sound", b"\xff\xfe\xfd"),
        "UTF-16": text.encode("utf-16"),
        "byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "zero byte": text.encode() + b"\0",
        "pickle": pickle.dumps(document),
        "trailing comma": (text[:-1] + ",}").encode(),
        "comment": b"// \n" + text.encode(),
        "single quotes": str(document).encode(),
        "150,000 keys, the last one twice": (
            text[:-1] + "".join(f',"{k}":0' for k in (*range(70_000), 69_999)) + "}"
        ).encode(),
    }.items():
        yield name, content


def _put(document: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


def spoilt_arrays(sound: Entries) -> Iterator[tuple[str, str, bytes]]:
    arrays = (array_entry(INPUT_NAME), fragment_entry(INPUT_NAME), "proof/boxes.npy", "proof/classes.npy")
    for entry in arrays:
        content = sound[entry]
        array = np.load(io.BytesIO(content))
        for name, spoilt in _spoilt_array(content, array):
            yield f"{entry}: {name}", entry, spoilt


def _spoilt_array(content: bytes, array: np.ndarray) -> Iterator[tuple[str, bytes]]:
    payload = array.tobytes()
    plain = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    objects = np.empty(1, dtype=object)
    pickled = io.BytesIO()
    np.save(pickled, objects, allow_pickle=True)
    yield "pickle", pickle.dumps(array)
    yield "objects", pickled.getvalue()
    for name, change in (
        ("of 2^80 items", {"shape": (1 << 40, 1 << 40)}),
        ("of 10 GB", {"shape": (10 << 30,)}),
        ("negative shape", {"shape": (-1, -1)}),
        ("other shape", {"shape": (*array.shape[:-1], array.shape[-1] + 1)}),
        ("flat", {"shape": (array.size,)}),
        ("by columns", {"fortran_order": True}),
        ("doubles", {"descr": "<f8"}),
        ("big-endian", {"descr": ">i4"}),
        ("claims objects", {"descr": "|O"}),
        ("structured", {"descr": [("a", "<i4")]}),
        ("text", {"descr": "<U1000000000"}),
        ("not a type", {"descr": "__import__('os')"}),
        ("further key", {"more": 1}),
    ):
        header = str({**plain, **change}).encode() + b"\n"
        yield name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload
    for name, header in (
        ("code for a header", b"__import__('os').system('true')\n"),
        ("1,000 brackets for a header", b"(" * 900 + b"\n"),
        ("1,000 signs for a header", b"-" * 900 + b"1\n"),
        ("header never closed", b"{'descr': '<f4', \n"),
        ("no header", b""),
        ("65,535 spaces for a header", b" " * 65535),
    ):
        yield name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload
    yield "header longer than the file", content[:8] + b"\xff\xff" + content[10:]
    yield "version 2", content[:6] + b"\x02" + content[7:]
    yield "version 9", content[:6] + b"\x09" + content[7:]
    yield "one byte short", content[:-1]
    yield "one byte more", content + b"\0"
    yield "empty", b""
    yield "magic alone", content[:6]
    yield "ZIP of arrays", zipped({"a.npy": content})
