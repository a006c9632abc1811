"""The contract between export and the vehicle: one signed file, ``NAME.catseye``.

``manifest.json`` holds size and SHA-256 of every other entry, and ``manifest.sig`` signs it. Nothing is
parsed before the signature holds, and no native library sees a graph before ``onnx_reader`` has walked it.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from catseye.capture.geometry import Fit, Letterbox, letterbox
from catseye.contract import Contract
from catseye.errors import InputError
from catseye.files import replacing
from catseye.runtime.archive import canonical, read_archive
from catseye.runtime.distance import CUES, CueName
from catseye.runtime.engines.base import INPUT_NAME, OUTPUT_NAMES
from catseye.runtime.onnx_reader import Value, check_model
from catseye.runtime.precision import Precision
from catseye.runtime.ranging.known_sizes import Shape, Shapes, shapes_of
from catseye.runtime.signing import SIGNATURE_BYTES, check_signature, sign

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FRAMES, FRAGMENT, FRAGMENT_FRAMES = "proof/frames.npy", "proof/fragment.mp4", "proof/fragment.npy"
PARITY = "proof/parity.json"

_MIB = 1 << 20
_NPY_HEADER = 1024
LIMITS: Mapping[str, int] = {
    MANIFEST: _MIB,
    SIGNATURE: SIGNATURE_BYTES,
    "fp32.onnx": 512 * _MIB,
    "fp16.onnx": 256 * _MIB,
    "int8.onnx": 256 * _MIB,
    FRAMES: 128 * _MIB,
    FRAGMENT: 16 * _MIB,
    FRAGMENT_FRAMES: 128 * _MIB,
    **{f"proof/{name}.npy": 64 * _MIB for name in OUTPUT_NAMES},
    PARITY: _MIB,
}
"""Every entry a bundle may have, and how many bytes of it at most."""

_OPTIONAL_OUTPUTS = ("embeddings", "depth")
_REQUIRED = frozenset(LIMITS) - {
    "fp16.onnx",
    "int8.onnx",
    *(f"proof/{name}.npy" for name in _OPTIONAL_OUTPUTS),
}
_GOLDEN = frozenset(f"proof/{name}.npy" for name in OUTPUT_NAMES)
_REMEDY = "copy it again from where it was exported, or export again"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Network(_Part):
    """The graph's input: ``batch`` frames of ``width`` × ``height`` pixels in the layout ``input``.

    ``fit`` says how a camera's frame is brought to that size, which is how the network saw its training's.
    """

    width: int = Field(gt=0, le=8192)
    height: int = Field(gt=0, le=8192)
    batch: int = Field(gt=0, le=64)
    input: Literal["rgb8"] = "rgb8"
    fit: Fit = "centre"

    def letterbox(self, source_width: int, source_height: int) -> Letterbox:
        """How a frame of this size lies in the network's."""
        return letterbox(source_width, source_height, self.width, self.height, self.fit)


class DepthOutput(_Part):
    """What the depth output means.

    A camera's own depth is ``depth · fx / canonical_focal_px`` with fx in network pixels: metres where
    ``metric``, else an arbitrary unit.
    """

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    canonical_focal_px: float = Field(gt=0)
    metric: bool


class Entry(_Part):
    """Identity of an entry's content."""

    sha256: str
    size: int = Field(ge=0)


class Provenance(_Part):
    """Where the weights come from.

    ``encoder`` names what was trained; a wrapped detector's file has the SHA-256 ``wrapped_sha256``, and
    ``decoder`` says how its outputs were read.
    """

    encoder: str
    decoder: str = ""
    wrapped_sha256: str = ""
    dataset_fingerprint: str = ""
    code_version: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)


class Tolerances(_Part):
    """How far a replay of the proof may be from the golden outputs.

    Args:
        relative: largest difference of an output, as a share of the golden output's largest magnitude.
        score_gap: detections whose score is within this of the last one's may be swapped for others.
        frame_mean, frame_max: mean and largest difference of decoded network frames, in levels of 0…255.
    """

    relative: float = Field(default=1e-3, gt=0)
    score_gap: float = Field(default=1e-3, gt=0)
    frame_mean: float = Field(default=0.5, gt=0)
    frame_max: float = Field(default=8.0, gt=0)


class Agreement(_Part):
    """How far a replay of a graph of lower precision may be from the golden outputs, which are the trained
    network's; see ``agreement.Disagreement`` for the figures.

    Measured at export, with a margin for engines that round otherwise. The defaults are the most that a proof
    may allow and still tell a broken engine.
    """

    detections: float = Field(default=0.4, ge=0)
    boxes: float = Field(default=0.25, ge=0)
    scores: float = Field(default=0.15, ge=0)
    embeddings: float = Field(default=0.25, ge=0)
    depth: float = Field(default=0.25, ge=0)


class Verdict(_Part):
    """Whether a precision is fit for its task, and why."""

    accepted: bool
    reason: str
    figures: dict[str, float] = Field(default_factory=dict)


class Manifest(Contract):
    """The contract ``manifest.json``.

    Args:
        name: of the network, for people.
        created: UTC time of the export, ISO 8601.
        classes: names in the order of the class indices.
        network: the graph's input.
        top_k: detections a frame, free ones with score 0.
        embedding_dim: length of a detection's embedding, or None for a network without that output.
        depth_shape: (height, width) of the depth output, or None for a network without it.
        depth: what depth means, or None where none was learned, be the output there or not.
        cues: to a distance that the bundle can use, see ``Ranger``: depth where it was learned, the ground
            where a calibration gives the camera's height, size for the classes whose size is known.
        sizes: of classes, where other than those of ``known_sizes``.
        nms_iou: a detection that overlaps a better one of its class by more than this IoU is the same object
            again, and whoever uses the outputs drops it; None for a network that gives each object once.
        score_threshold: score from which a detection is worth showing.
        precisions: graphs in the bundle; float32 is always one.
        agreements: how exact a replay of each lower precision must be.
        verdicts: on each precision that was asked for, in the bundle or left out.
        cpu_precision: what an engine on the CPU takes where nothing else is asked for.
        proof_frames: golden inputs; a multiple of the batch.
        fragment_frames: frames of the proof's video.
        tolerances: how exact a replay of the float32 graph must be.
        provenance: where the weights come from.
        entries: every entry but the manifest and its signature.
    """

    VERSION: ClassVar[str] = "2.1"
    REMEDY: ClassVar[str] = "export again with this version"

    name: str
    created: str
    classes: tuple[str, ...] = Field(min_length=1)
    network: Network
    top_k: int = Field(gt=0)
    embedding_dim: int | None = Field(gt=0)
    depth_shape: tuple[int, int] | None
    depth: DepthOutput | None = None
    cues: tuple[CueName, ...] = CUES
    sizes: dict[str, tuple[Shape, ...]] = Field(default_factory=dict)
    nms_iou: float | None = Field(default=None, gt=0, lt=1)
    score_threshold: float = Field(default=0.3, ge=0, le=1)
    precisions: tuple[Precision, ...] = ("fp32",)
    agreements: dict[Precision, Agreement] = Field(default_factory=dict)
    verdicts: dict[Precision, Verdict] = Field(default_factory=dict)
    cpu_precision: Precision = "fp32"
    proof_frames: int = Field(gt=0)
    fragment_frames: int = Field(gt=0)
    tolerances: Tolerances = Tolerances()
    provenance: Provenance
    entries: dict[str, Entry] = Field(default_factory=dict)

    def written_version(self) -> str:
        """Major 2 only where a reader of major 1 would go wrong: it wants every output, fits every frame into
        the middle and drops no doubles. What is told of lower precisions is a minor matter: older readers run
        the float32 graph, which is always there."""
        plain = self.nms_iou is None and self.network.fit == "centre"
        complete = self.embedding_dim is not None and self.depth_shape is not None
        return "1.2" if plain and complete else self.VERSION

    def agreement(self, precision: Precision) -> Agreement:
        """How exact a replay of a lower precision must be."""
        return self.agreements.get(precision, Agreement())

    def shapes(self) -> list[Shapes]:
        """What is known of the size of each class, by class index."""
        return [self.sizes.get(name, shapes_of(name)) for name in self.classes]

    def interface(self) -> tuple[Value, tuple[Value, ...]]:
        """The graph's input and its outputs, in order."""
        network, batch = self.network, self.network.batch
        shapes: dict[str, tuple[int, ...]] = {
            "boxes": (batch, self.top_k, 4),
            "scores": (batch, self.top_k),
            "classes": (batch, self.top_k),
        }
        if self.embedding_dim is not None:
            shapes["embeddings"] = (batch, self.top_k, self.embedding_dim)
        if self.depth_shape is not None:
            shapes["depth"] = (batch, *self.depth_shape)
        frames = Value(INPUT_NAME, "uint8", (batch, network.height, network.width, 3))
        return frames, tuple(
            Value(name, "int32" if name == "classes" else "float32", shape) for name, shape in shapes.items()
        )


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

    def array(self, entry: str, *, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        """An entry in NumPy's .npy format that must be of this type and shape.

        Raises:
            InputError: it is not.
        """
        return parse_array(self.entries[entry], dtype=dtype, shape=shape, subject=f"{self.path}: {entry}")


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
    """Read a bundle and check all of it: form, signature, hashes, schema, graphs.

    Raises:
        InputError: the file is absent or no bundle, was altered, is signed by a key that is not trusted here,
            is of a newer major version, or holds a graph that may not be run.
    """
    path = Path(path)
    entries = read_archive(path, limits=LIMITS)
    for name in sorted(_REQUIRED - set(entries)):
        raise InputError(path, f"lacks {name}", _REMEDY)
    key = check_signature(bytes(entries[MANIFEST]), bytes(entries[SIGNATURE]), subject=path)
    manifest = Manifest.parse(bytes(entries[MANIFEST]), subject=f"{path}: {MANIFEST}")
    _check_entries(path, manifest, entries)
    if "fp32" not in manifest.precisions or manifest.cpu_precision not in manifest.precisions:
        raise InputError(path, "names precisions that it has not", _REMEDY)
    for precision in manifest.precisions:
        _check_graph(path, manifest, f"{precision}.onnx", entries)
    whole = hashlib.sha256()
    for piece in canonical(entries.items()):
        whole.update(piece)
    return Bundle(path, manifest, key, whole.hexdigest(), entries)


def dump_array(array: NDArray[Any]) -> bytes:
    """An array in NumPy's .npy format."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def parse_array(
    content: bytes | memoryview, *, dtype: DTypeLike, shape: tuple[int, ...], subject: str
) -> NDArray[Any]:
    """Read what ``dump_array`` wrote. The header must be the expected one; it is never obeyed.

    Raises:
        InputError: type, shape or size is another.
    """
    stream = io.BytesIO(content[:_NPY_HEADER])
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError
        found_shape, by_columns, found_dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, EOFError):
        raise InputError(subject, "is no array", _REMEDY) from None
    payload = content[stream.tell() :]
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if (found_shape, found_dtype, by_columns, len(payload)) != (shape, np.dtype(dtype), False, size):
        raise InputError(subject, f"is no {np.dtype(dtype)} array of shape {shape}", _REMEDY)
    return np.frombuffer(payload, dtype=dtype).reshape(shape)


def _check_entries(path: Path, manifest: Manifest, entries: Mapping[str, memoryview]) -> None:
    named = set(entries) - {MANIFEST, SIGNATURE}
    graphs = {f"{precision}.onnx" for precision in manifest.precisions}
    outputs = {f"proof/{value.name}.npy" for value in manifest.interface()[1]}
    for name in sorted(outputs - named):
        raise InputError(path, f"lacks {name}", _REMEDY)
    held = {name for name in named if name.endswith(".onnx") or name in _GOLDEN}
    if named != set(manifest.entries) or held != graphs | outputs:
        raise InputError(path, "does not hold the entries that its manifest names", _REMEDY)
    for name, entry in manifest.entries.items():
        content = entries[name]
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise InputError(path, f"was altered: {name} is not what was signed", _REMEDY)


def _check_graph(path: Path, manifest: Manifest, name: str, entries: Mapping[str, memoryview]) -> None:
    summary = check_model(entries[name], subject=f"{path}: {name}")
    frames, outputs = manifest.interface()
    if summary.inputs != (frames,) or summary.outputs != outputs:
        raise InputError(f"{path}: {name}", "has other inputs or outputs than the manifest says", _REMEDY)
