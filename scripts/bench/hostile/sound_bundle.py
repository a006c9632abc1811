"""The bundle that hostile ones are made of: small, with each operator that could be made to allocate."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from catseye.runtime.archive import canonical
from catseye.runtime.bundle_entries import FRAGMENT, LIMITS, MANIFEST, PARITY, SIGNATURE
from catseye.runtime.manifest import Entry, Manifest, Network, Provenance
from catseye.runtime.npy import dump_array
from catseye.runtime.signing import sign

Entries = dict[str, bytes]
GRAPH = "fp32.onnx"


def sound_graph() -> onnx.ModelProto:
    """Frames (1, 64, 96, 3) to boxes, scores and classes of eight detections."""
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {
        "w1": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w2": rng.integers(-127, 128, (8, 8, 3, 3)).astype(np.int8),
        "w2_scale": np.full(8, 0.01, np.float32),
        "w2_zero": np.zeros(8, np.int8),
        "scale": np.float32(0.05),
        "zero": np.int8(0),
        "w3": rng.normal(size=(8, 4, 2, 2)).astype(np.float32),
        "sizes": np.array([1, 8, 64, 96]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "rows": np.array([1, 4, -1]),
        "two": np.array([2]),
        "k": np.array([8]),
        "flat": np.array([8]),
        "slots": np.array([1, 8]),
        "one": np.array([[1]], dtype=np.int32),
        "zeros": np.array([0]),
        "fours": np.array([4]),
    }
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Cast", ["frames"], ["levels"], {"to": TensorProto.FLOAT}),
        ("Transpose", ["levels"], ["planes"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["planes", "w1"], ["c1"], {"strides": [2, 2], "pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        ("Relu", ["c1"], ["r1"], {}),
        ("QuantizeLinear", ["r1", "scale", "zero"], ["q1"], {}),
        ("DequantizeLinear", ["q1", "scale", "zero"], ["d1"], {}),
        ("DequantizeLinear", ["w2", "w2_scale", "w2_zero"], ["d2"], {"axis": 0}),
        ("Conv", ["d1", "d2"], ["c2"], {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        ("Resize", ["c2", "", "", "sizes"], ["up"], {"mode": "nearest"}),
        ("Pad", ["up", "pads"], ["padded"], {"mode": "constant"}),
        ("MaxPool", ["padded"], ["pooled"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("ConvTranspose", ["pooled", "w3"], ["wide"], {"strides": [2, 2], "kernel_shape": [2, 2]}),
        ("Reshape", ["wide", "rows"], ["columns"], {}),
        ("Transpose", ["columns"], ["cells"], {"perm": [0, 2, 1]}),
        ("ReduceMax", ["cells", "two"], ["best"], {"keepdims": 0}),
        ("Sigmoid", ["best"], ["sure"], {}),
        ("TopK", ["sure", "k"], ["scores", "at"], {"axis": -1}),
        ("Reshape", ["at", "flat"], ["places"], {}),
        ("Gather", ["cells", "places"], ["found"], {"axis": 1}),
        ("Slice", ["found", "zeros", "fours", "two"], ["boxes"], {}),
        ("ArgMax", ["boxes"], ["most"], {"axis": 2, "keepdims": 0}),
        ("Cast", ["most"], ["labels"], {"to": TensorProto.INT32}),
        ("Expand", ["one", "slots"], ["ones"], {}),
        ("Min", ["labels", "ones"], ["classes"], {}),
    ]
    outputs = {"boxes": (1, 8, 4), "scores": (1, 8), "classes": (1, 8)}
    graph = helper.make_graph(
        [
            helper.make_node(operator, inputs, made, name=f"{operator}_{made[0]}", **attributes)
            for operator, inputs, made, attributes in nodes
        ],
        "sound",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 64, 96, 3))],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "classes" else TensorProto.FLOAT, shape
            )
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def sound_entries() -> Entries:
    """A bundle that opens. Its golden outputs are zeros: nothing here runs it."""
    manifest = Manifest(
        name="sound",
        created="2026-01-01T00:00:00+00:00",
        classes=("car", "truck"),
        network=Network(width=96, height=64, batch=1),
        top_k=8,
        embedding_dim=None,
        depth_shape=None,
        cues=("ground", "size"),
        proof_frames=2,
        fragment_frames=1,
        provenance=Provenance(encoder="none"),
    )
    entries = {
        GRAPH: sound_graph().SerializeToString(deterministic=True),
        FRAGMENT: b"no video",
        PARITY: b"{}",
        **{name: dump_array(np.zeros(value.shape, value.dtype)) for name, value in manifest.arrays().items()},
    }
    return resigned({MANIFEST: manifest.to_json().encode(), SIGNATURE: b"", **entries})


def archive(entries: Entries) -> bytes:
    return b"".join(canonical((name, entries[name]) for name in LIMITS if name in entries))


def resigned(entries: Entries) -> Entries:
    """The same with sizes and hashes that fit, signed."""
    document = json.loads(entries[MANIFEST])
    document["entries"] = {
        name: Entry(sha256=hashlib.sha256(content).hexdigest(), size=len(content)).model_dump()
        for name, content in entries.items()
        if name not in {MANIFEST, SIGNATURE}
    }
    return signed(entries, json.dumps(document).encode())


def signed(entries: Entries, manifest: bytes) -> Entries:
    return entries | {MANIFEST: manifest, SIGNATURE: sign(manifest)}


def respelt(entries: Entries, name: str, content: bytes) -> bytes:
    return archive(resigned(entries | {name: content}))
