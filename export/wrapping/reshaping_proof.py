"""What holds a re-shaped network to the original, which cannot take the new size itself.

At its own size the graph that was re-shaped gives what the file gives. And of what the file finds in some
pictures, with a border around them up to its own size, the re-shaped network finds the most with a border up
to its own: cells at the wrong place, or values in the wrong order, would leave little of it. Not all, since a
network sees the border, and one with attention sees it from everywhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import PAD_VALUE
from catseye.errors import CatseyeError
from catseye.export.wrapping.class_map import ClassMap
from catseye.export.wrapping.layouts import Decoder, layout_of
from catseye.export.wrapping.original import Original
from catseye.export.wrapping.reference import golden_of, run_original
from catseye.runtime.association import iou
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.manifest import Tolerances
from catseye.runtime.proof import Check, compare_outputs
from catseye.runtime.suppression import chosen

_MOST, _SAME, _MAY_LOSE = 300, 0.5, 0.5

Frames = NDArray[np.uint8] | NDArray[np.float32]


def prove_reshaped(
    source: Original,
    made: Original,
    decoder: Decoder,
    class_map: ClassMap,
    frames: Frames,
    *,
    score_threshold: float,
    tolerances: Tolerances,
) -> list[Check]:
    """Hold a re-shaped network to the one that it was made of.

    Args:
        source, made: the detector at its own size, and at the new one; where it is the same, there is nothing
            to prove.
        frames: RGB pictures (F, H, W, 3) of the new size, levels 0…255.
        score_threshold: score from which a detection has to be found again.

    Raises:
        CatseyeError: a figure is beyond its limit.
    """
    if made is source:
        return []
    area = min(source.height, made.height), min(source.width, made.width)
    read = replace(source, content=source.model.SerializeToString())
    there, again = (_outputs(each, decoder, class_map, frames, area) for each in (source, read))
    here = _outputs(made, decoder, class_map, frames, area)
    lost = _lost(there, here, least=score_threshold, nms_iou=decoder.nms_iou)
    checks = [
        *(
            replace(check, name=f"{check.name} at its own size")
            for check in compare_outputs(there, again, tolerances)
        ),
        Check("lost of what it finds at its own size", lost, _MAY_LOSE),
    ]
    for check in checks:
        if not check:
            raise CatseyeError(
                f"{made.path}: made {made.width}x{made.height} it differs from the original: {check.name}: "
                f"{check.value:.3g}, {check.limit:.3g} at most; nothing was written"
            )
    return checks


def _outputs(
    detector: Original, decoder: Decoder, class_map: ClassMap, frames: Frames, area: tuple[int, int]
) -> EngineOutput:
    """The best of what it finds in the first rows and columns of the frames, with nothing else to see."""
    size = {"width": detector.width, "height": detector.height}
    layout = layout_of(decoder, detector.outputs, subject=str(detector.path), **size)
    shown = np.full((len(frames), detector.height, detector.width, 3), PAD_VALUE, dtype=np.float32)
    rows, columns = area
    shown[:, :rows, :columns] = frames[:, :rows, :columns]
    found = run_original(detector, decoder, layout, class_map, shown)
    return golden_of(found, top_k=min(_MOST, layout.candidates), **size)


def _lost(there: EngineOutput, here: EngineOutput, *, least: float, nms_iou: float | None) -> float:
    """Share of the detections of one that the other has not."""
    again: list[bool] = []
    for index in range(len(there.scores)):
        (boxes, classes), (others, kinds) = (
            _shown(each, index, least=least, nms_iou=nms_iou) for each in (there, here)
        )
        same = (iou(boxes, others) >= _SAME) & (classes[:, None] == kinds)
        again += same.any(axis=1).tolist()
    return 1 - float(np.mean(again)) if again else 0.0


def _shown(
    output: EngineOutput, index: int, *, least: float, nms_iou: float | None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    boxes, scores, classes = output.boxes[index], output.scores[index], output.classes[index]
    kept = chosen(boxes, scores, classes, least=least, nms_iou=nms_iou)
    return boxes[kept], classes[kept]
