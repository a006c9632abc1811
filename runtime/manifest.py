"""What a bundle says of itself: ``manifest.json``, by which ``bundle`` checks all else."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from catseye.capture.geometry import ColorMatrix, Fit, Letterbox, letterbox
from catseye.contract import Contract
from catseye.runtime.bundle_entries import array_entry, fragment_entry
from catseye.runtime.distance import CUES, CueName
from catseye.runtime.engines.base import INPUT_NAMES, InputLayout
from catseye.runtime.onnx_reader import Value
from catseye.runtime.precision import Precision
from catseye.runtime.ranging.known_sizes import Shape, Shapes, shapes_of

MAX_BATCH = 64


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Colour(_Part):
    """What the levels of planes mean, by ITU-R BT.601 or BT.709; ``full_range`` luma covers 0…255."""

    matrix: ColorMatrix = "bt709"
    full_range: bool = False


class Network(_Part):
    """The graph's input: ``batch`` frames of ``width`` × ``height`` pixels in the layout ``input``.

    ``colour`` is what the graph takes ``nv12`` planes for, and None for ``rgb8``. ``fit`` says how a camera's
    frame is brought to that size, which is how the network saw its training's.
    """

    width: int = Field(gt=0, le=8192)
    height: int = Field(gt=0, le=8192)
    batch: int = Field(gt=0, le=MAX_BATCH)
    input: InputLayout = "rgb8"
    colour: Colour | None = None
    fit: Fit = "centre"

    @model_validator(mode="after")
    def _colour_is_of_planes(self) -> Self:
        if (self.input == "nv12") != (self.colour is not None):
            raise ValueError("nv12 planes have a colour, rgb8 has none")
        return self

    def inputs(self) -> tuple[Value, ...]:
        """The graph's inputs, in order."""
        n, h, w = self.batch, self.height, self.width
        shapes: dict[InputLayout, tuple[tuple[int, ...], ...]] = {
            "rgb8": ((n, h, w, 3),),
            "nv12": ((n, h, w), (n, h // 2, w // 2, 2)),
        }
        named = zip(INPUT_NAMES[self.input], shapes[self.input], strict=True)
        return tuple(Value(name, "uint8", shape) for name, shape in named)

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
        proof_frames: golden inputs. Where they are no multiple of the batch, the last one fills it up.
        fragment_frames: frames of the proof's video.
        tolerances: how exact a replay of the float32 graph must be.
        provenance: where the weights come from.
        entries: every entry but the manifest and its signature.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    VERSION: ClassVar[str] = "3.0"
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
        """Major 3 only where a reader of major 2 would go wrong: it knows RGB frames and whole batches. Major
        2 likewise: major 1 wants every output, fits every frame into the middle and drops no doubles. What is
        told of lower precisions is a minor matter: older readers run the float32 graph, which is always
        there."""
        if self.network.input != "rgb8" or self.proof_frames % self.network.batch:
            return self.VERSION
        plain = self.nms_iou is None and self.network.fit == "centre"
        complete = self.embedding_dim is not None and self.depth_shape is not None
        return "1.2" if plain and complete else "2.1"

    def agreement(self, precision: Precision) -> Agreement:
        """How exact a replay of a lower precision must be."""
        return self.agreements.get(precision, Agreement())

    def shapes(self) -> list[Shapes]:
        """What is known of the size of each class, by class index."""
        return [self.sizes.get(name, shapes_of(name)) for name in self.classes]

    def arrays(self) -> dict[str, Value]:
        """The proof's entries in .npy format: what each must be."""
        inputs, outputs = self.interface()
        held = {array_entry(value.name): (value, self.proof_frames) for value in (*inputs, *outputs)}
        held |= {fragment_entry(value.name): (value, self.fragment_frames) for value in inputs}
        return {
            entry: Value(value.name, value.dtype, (count, *value.shape[1:]))
            for entry, (value, count) in held.items()
        }

    def interface(self) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """The graph's inputs and its outputs, in order."""
        batch = self.network.batch
        shapes: dict[str, tuple[int, ...]] = {
            "boxes": (batch, self.top_k, 4),
            "scores": (batch, self.top_k),
            "classes": (batch, self.top_k),
        }
        if self.embedding_dim is not None:
            shapes["embeddings"] = (batch, self.top_k, self.embedding_dim)
        if self.depth_shape is not None:
            shapes["depth"] = (batch, *self.depth_shape)
        return self.network.inputs(), tuple(
            Value(name, "int32" if name == "classes" else "float32", shape) for name, shape in shapes.items()
        )
