"""What the known detectors take and give: one row a decoder, each checked against a graph's own outputs.

Conventions are those of the projects' own exporters and inference scripts: YOLOX (Megvii, Apache-2.0),
FastestDet (dog-qiuqiu, BSD-3), Ultralytics YOLO, RT-DETR (Lv et al. 2023) and D-FINE (Peng et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from catseye.capture.geometry import Fit
from catseye.errors import UsageError

Form = Literal[
    "yolox", "fastestdet", "yolo", "end_to_end", "detr", "detr_joined", "detr_picked", "detr_decoded"
]
"""How the outputs are to be read, see ``heads`` for each."""

SIZES_INPUT = "orig_target_sizes"
"""Second input of RT-DETR's and D-FINE's own exports: width and height that boxes are scaled to."""

_P5, _P6 = (8, 16, 32), (8, 16, 32, 64)


@dataclass(frozen=True)
class Port:
    """A graph's input or output: its name, NumPy type and static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {'x'.join(map(str, self.shape))} {self.dtype}"


@dataclass(frozen=True)
class Layout:
    """How one graph's outputs are read.

    Args:
        form: the way.
        outputs: names that the way needs, in its order.
        candidates: N, how many boxes a picture's outputs hold.
        classes: how many the outputs have, or None where they name only the best one's index.
        strides: pixels a cell of each level, for grids.
    """

    form: Form
    outputs: tuple[str, ...]
    candidates: int
    classes: int | None
    strides: tuple[int, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether a candidate's row is a place in the picture. Queries are ranked by the network, and
        near-equal ones change places."""
        return self.form in {"yolox", "fastestdet", "yolo"}


Match = Callable[[Sequence[Port], int, int], "Layout | None"]


@dataclass(frozen=True)
class Decoder:
    """A family of detectors.

    Args:
        name: what ``--decoder`` calls it.
        colours: order of the input's channels.
        divisor: what levels of 0…255 are divided by.
        fit: how training brought pictures to the network's size; a border is ``geometry.PAD_VALUE`` in all.
        nms_iou: overlap over which its authors take two detections for doubles; None where the network gives
            each object once.
        expects: outputs in words, for an error.
        match: (outputs, width, height) to the layout, or None where it is another.
    """

    name: str
    colours: Literal["rgb", "bgr"]
    divisor: float
    fit: Fit
    nms_iou: float | None
    expects: str
    match: Match


def _yolox(outputs: Sequence[Port], width: int, height: int) -> Layout | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[2] < 6:
        return None
    for strides in (_P5, _P6):
        whole = width % strides[-1] == 0 and height % strides[-1] == 0
        cells = sum((width // stride) * (height // stride) for stride in strides)
        if whole and outputs[0].shape[1] == cells:
            return Layout("yolox", (outputs[0].name,), cells, outputs[0].shape[2] - 5, strides)
    return None


def _fastestdet(outputs: Sequence[Port], width: int, height: int) -> Layout | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 4:
        return None
    _, channels, rows, columns = outputs[0].shape
    stride = width // columns
    if channels < 6 or (columns * stride, rows * stride) != (width, height):
        return None
    return Layout("fastestdet", (outputs[0].name,), rows * columns, channels - 5, (stride,))


def _yolo(outputs: Sequence[Port], width: int, height: int) -> Layout | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 3:
        return None
    _, channels, cells = outputs[0].shape
    expected = sum((width // stride) * (height // stride) for stride in _P5)
    expected_p6 = sum((width // stride) * (height // stride) for stride in _P6)
    if channels < 5 or cells not in {expected, expected_p6}:
        return None
    return Layout("yolo", (outputs[0].name,), cells, channels - 4)


def _end_to_end(outputs: Sequence[Port], width: int, height: int) -> Layout | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[2] != 6:
        return None
    return Layout("end_to_end", (outputs[0].name,), outputs[0].shape[1], None)


def _detr(outputs: Sequence[Port], width: int, height: int) -> Layout | None:
    named = {output.name: output for output in outputs}
    if {"labels", "boxes", "scores"} == set(named):
        queries = named["labels"].shape
        if len(queries) == 2 and named["scores"].shape == queries and named["boxes"].shape == (*queries, 4):
            return Layout("detr_decoded", ("boxes", "scores", "labels"), queries[1], None)
        return None
    if len(outputs) == 1 and len(outputs[0].shape) == 3 and outputs[0].shape[2] == 6:
        return Layout("detr_picked", (outputs[0].name,), outputs[0].shape[1], None)
    if len(outputs) == 1 and len(outputs[0].shape) == 3 and outputs[0].shape[2] > 4:
        return Layout("detr_joined", (outputs[0].name,), outputs[0].shape[1], outputs[0].shape[2] - 4)
    return _detr_pair(outputs)


def _detr_pair(outputs: Sequence[Port]) -> Layout | None:
    if len(outputs) != 2 or any(len(output.shape) != 3 for output in outputs):
        return None
    # With four classes logits have the shape of boxes, and only the name tells.
    boxes, logits = sorted(
        outputs, key=lambda output: (output.shape[2] != 4, "box" not in output.name.lower())
    )
    if boxes.shape[2] != 4 or boxes.shape[1] != logits.shape[1]:
        return None
    if logits.shape[2] == 4 and "box" not in boxes.name.lower():
        return None
    return Layout("detr", (boxes.name, logits.name), logits.shape[1], logits.shape[2])


_DETR_SAYS = (
    "logits 1xQxC with boxes 1xQx4, one output 1xQx(4+C) or 1xQx6, or labels and scores 1xQ with boxes 1xQx4"
)
_YOLO_SAYS = "one output 1x(4+C)xN, with N the cells at strides 8, 16 and 32"
_ALL = (
    Decoder("yolox", "bgr", 1, "top_left", 0.65, "one output 1xNx(5+C), N as for strides 8, 16, 32", _yolox),
    Decoder("fastestdet", "bgr", 255, "stretch", 0.45, "one output 1x(5+C)xHxW of one grid", _fastestdet),
    Decoder("yolov8", "rgb", 255, "centre", 0.7, _YOLO_SAYS, _yolo),
    Decoder("yolo11", "rgb", 255, "centre", 0.7, _YOLO_SAYS, _yolo),
    Decoder("yolo26", "rgb", 255, "centre", None, "one output 1xQx6", _end_to_end),
    Decoder("rtdetr", "rgb", 255, "stretch", None, _DETR_SAYS, _detr),
    Decoder("dfine", "rgb", 255, "stretch", None, _DETR_SAYS, _detr),
)
DECODERS: Mapping[str, Decoder] = {decoder.name: decoder for decoder in _ALL}


def decoder_named(name: str) -> Decoder:
    """Look a decoder up.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in DECODERS:
        raise UsageError(f"decoder {name!r}: choose from {', '.join(DECODERS)}")
    return DECODERS[name]


def layout_of(decoder: Decoder, outputs: Sequence[Port], *, width: int, height: int, subject: str) -> Layout:
    """How a graph's outputs are read.

    Raises:
        UsageError: they are not what the decoder expects; names the decoders that would do.
    """
    if layout := decoder.match(outputs, width, height):
        return layout
    others = [other.name for other in _ALL if other.match(outputs, width, height)]
    hint = f"try {' or '.join(others)}" if others else "no decoder here reads that"
    raise UsageError(
        f"decoder {decoder.name} expects {decoder.expects}; {subject} gives "
        f"{', '.join(map(str, outputs))} for {width}x{height}: {hint}"
    )
