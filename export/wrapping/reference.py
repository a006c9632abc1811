"""The golden outputs: the original file in plain ONNX Runtime, with all around it in NumPy.

Nothing here goes through the wrapped graph or the code that builds it, whose faults it would share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.errors import InputError
from catseye.export.wrapping.class_map import ClassMap
from catseye.export.wrapping.layouts import Decoder, Layout
from catseye.export.wrapping.original import Original
from catseye.runtime.engines.base import EngineOutput

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """One frame's candidates in the bundle's classes: boxes (N, 4) unclipped, scores and classes (N,)."""

    boxes: Float
    scores: Float
    classes: NDArray[np.int32]


def run_original(
    original: Original, decoder: Decoder, layout: Layout, class_map: ClassMap, frames: Image | Float
) -> list[Found]:
    """All candidates of RGB frames (F, H, W, 3), levels 0…255, one by one.

    Raises:
        InputError: ONNX Runtime does not run the file, or it gives labels beyond the named classes.
    """
    session = _session(original)
    found = []
    for frame in frames:
        levels = frame[:, :, ::-1] if decoder.colours == "bgr" else frame
        tensor = (levels.astype(np.float32) / decoder.divisor).transpose(2, 0, 1)[None]
        feeds = {original.frames.name: np.ascontiguousarray(tensor, dtype=original.frames.dtype)}
        if original.sizes is not None:
            feeds[original.sizes.name] = np.array([[original.width, original.height]], original.sizes.dtype)
        try:
            outputs = session.run(list(layout.outputs), feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise _refused(original, error) from None
        boxes, values, labels = _DECODES[layout.form](
            [np.asarray(output[0], dtype=np.float32) for output in outputs], original, layout
        )
        if labels is None:
            scores, classes = _merge(values, class_map)
        else:
            scores, classes = _relabel(values, labels, class_map, original)
        found.append(Found(boxes, scores, classes))
    return found


def golden_of(found: Sequence[Found], *, top_k: int, width: int, height: int) -> EngineOutput:
    """What an engine should return for those frames."""
    boxes, scores, classes = [], [], []
    for each in found:
        best = np.argsort(-each.scores, kind="stable")[:top_k]
        boxes.append(np.clip(each.boxes[best], 0, np.array([width, height] * 2, dtype=np.float32)))
        scores.append(each.scores[best])
        classes.append(each.classes[best])
    return EngineOutput(np.stack(boxes), np.stack(scores), np.stack(classes))


Decoded = tuple[Float, Float, "Float | None"]
"""Boxes (N, 4), then scores (N, C) and None, or scores (N,) and labels (N,)."""


def _yolox(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (rows,) = outputs
    boxes, row = np.empty((len(rows), 4), dtype=np.float32), 0
    for stride in layout.strides:
        for y in range(original.height // stride):
            count = original.width // stride
            part = rows[row : row + count]
            x = np.arange(count, dtype=np.float32)
            centre = np.stack([(part[:, 0] + x) * stride, (part[:, 1] + y) * stride], axis=1)
            boxes[row : row + count] = _around(centre, np.exp(part[:, 2:4]) * stride)
            row += count
    return boxes, rows[:, 5:] * rows[:, 4:5], None


def _fastestdet(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (maps,) = outputs
    y, x = np.indices(maps.shape[1:], dtype=np.float32)
    high, wide = maps.shape[1:]
    centre = np.stack(
        [(x + np.tanh(maps[1])) / wide * original.width, (y + np.tanh(maps[2])) / high * original.height], -1
    )
    size = _sigmoid(np.moveaxis(maps[3:5], 0, -1)) * np.array([original.width, original.height], np.float32)
    scores = np.moveaxis(maps[5:] * maps[:1], 0, -1)
    return _around(centre.reshape(-1, 2), size.reshape(-1, 2)), scores.reshape(high * wide, -1), None


def _yolo(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (columns,) = outputs
    return _around(columns[:2].T, columns[2:4].T), columns[4:].T, None


def _end_to_end(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (rows,) = outputs
    return rows[:, :4], rows[:, 4], rows[:, 5]


def _detr(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    boxes, logits = outputs
    return _scaled(boxes, original), _sigmoid(logits), None


def _detr_joined(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (rows,) = outputs
    return _scaled(rows[:, :4], original), rows[:, 4:], None


def _detr_picked(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    (rows,) = outputs
    return _scaled(rows[:, :4], original), rows[:, 4], rows[:, 5]


def _detr_decoded(outputs: list[Float], original: Original, layout: Layout) -> Decoded:
    boxes, scores, labels = outputs
    return boxes, scores, labels


_DECODES: dict[str, Callable[[list[Float], Original, Layout], Decoded]] = {
    "yolox": _yolox,
    "fastestdet": _fastestdet,
    "yolo": _yolo,
    "end_to_end": _end_to_end,
    "detr": _detr,
    "detr_joined": _detr_joined,
    "detr_picked": _detr_picked,
    "detr_decoded": _detr_decoded,
}


def _merge(values: Float, class_map: ClassMap) -> tuple[Float, NDArray[np.int32]]:
    merged = np.stack([values[:, list(group)].max(axis=1) for group in class_map.groups], axis=1)
    return merged.max(axis=1), merged.argmax(axis=1).astype(np.int32)


def _relabel(
    scores: Float, labels: Float, class_map: ClassMap, original: Original
) -> tuple[Float, NDArray[np.int32]]:
    if (odd := labels[labels != np.round(labels)]).size:
        raise InputError(
            original.path, f"gives {odd[0]:.3g} for a class's index", "give the decoder that it is of"
        )
    if (unnamed := labels[(scores > 0) & (labels >= class_map.total)]).size:
        raise InputError(
            original.path,
            f"gives class {unnamed[0]:.0f}, and {class_map.total} are named",
            "give --classes FILE with a name for each",
        )
    classes, kept = np.zeros(len(labels), dtype=np.int32), np.zeros(len(labels), dtype=bool)
    for index, group in enumerate(class_map.groups):
        member = np.isin(labels, group)
        classes[member], kept[member] = index, True
    return np.where(kept, scores, np.float32(0)), classes


def _around(centre: Float, size: Float) -> Float:
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)


def _scaled(boxes: Float, original: Original) -> Float:
    size = np.array([original.width, original.height], dtype=np.float32)
    return _around(boxes[:, :2] * size, boxes[:, 2:] * size)


def _sigmoid(x: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-x)), dtype=np.float32)


def _session(original: Original) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(original.content, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise _refused(original, error) from None


def _refused(original: Original, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(original.path, f"does not run in ONNX Runtime ({reason})", "export it again")
