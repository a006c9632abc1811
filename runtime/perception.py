"""Frame by frame from network input to tracks with distances: what ``run`` and ``bench`` share."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox
from catseye.capture.sources import Frame
from catseye.errors import InputError
from catseye.runtime.bundle import Manifest
from catseye.runtime.distance import Ranger
from catseye.runtime.engines.base import Engine, EngineOutput, Inputs, OverlappingEngine
from catseye.runtime.network_input import filled, network_input, stacked
from catseye.runtime.results import FrameResult
from catseye.runtime.suppression import chosen
from catseye.runtime.tracker import Tracker

T = TypeVar("T")

_SURE = 1.25
"""Times the showing threshold: the score from which a detection may start a track."""
_WEAK = 0.25
"""Times the showing threshold: the score below which a detection is of no use to a track."""


@dataclass(frozen=True)
class Prepared:
    """A decoded frame, what the graph takes of it, and when it was decoded, by ``perf_counter``."""

    frame: Frame
    inputs: Inputs
    decoded_s: float


def prepare(frame: Frame, manifest: Manifest) -> Prepared:
    decoded_s = time.perf_counter()
    return Prepared(frame, network_input(frame.planes, manifest.network), decoded_s)


def infer(engine: Engine, manifest: Manifest, group: Sequence[Prepared]) -> EngineOutput:
    """Run the engine on up to a batch of frames. A batch that is not full is filled up by its last frame."""
    return engine.infer(_batch(manifest, group))


def inferred(
    engine: Engine, manifest: Manifest, groups: Iterable[Sequence[Prepared]]
) -> Generator[tuple[Sequence[Prepared], EngineOutput], None, None]:
    """Each group of frames with its outputs; see ``infer``.

    An engine that can overlap calls works on the next group while whoever iterates is busy with this one.
    """
    if not isinstance(engine, OverlappingEngine):
        for group in groups:
            yield group, infer(engine, manifest, group)
        return
    under_way: tuple[Sequence[Prepared], int] | None = None
    try:
        for group in groups:
            number = engine.start(_batch(manifest, group))
            before, under_way = under_way, (group, number)
            if before is not None:
                yield before[0], engine.finish(before[1])
        if under_way is not None:
            last, under_way = under_way, None
            yield last[0], engine.finish(last[1])
    finally:
        if under_way is not None:
            engine.finish(under_way[1])


def _batch(manifest: Manifest, group: Sequence[Prepared]) -> Inputs:
    return filled(stacked([item.inputs for item in group]), manifest.network.batch)


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items in a row; the last may be shorter."""
    items = iter(items)
    while group := list(islice(items, size)):
        yield group


class Perception:
    """Tracks and distances of one stream, from the engine's output of each frame.

    Args:
        manifest: of the bundle that the engine runs.
        stream: name for the results.
        width, height: of the source frames in pixels.
        calibration: of the camera, or None.
        threshold: score from which a detection counts as sure of itself.

    Raises:
        InputError: the calibration is of a camera with another aspect.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        stream: str,
        width: int,
        height: int,
        calibration: Calibration | None,
        threshold: float,
    ) -> None:
        self._manifest, self._stream = manifest, stream
        self._box: Letterbox = manifest.network.letterbox(width, height)
        if calibration is not None:
            _check_aspect(calibration, width, height)
        self._hash = calibration.content_hash if calibration is not None else None
        self._ranger = Ranger(
            depth=manifest.depth,
            calibration=calibration,
            box=self._box,
            shapes=manifest.shapes(),
            cues=manifest.cues,
        )
        self._weak = _WEAK * threshold
        self._tracker = Tracker(
            high_threshold=threshold,
            start_threshold=min(1.0, _SURE * threshold),
            low_threshold=self._weak,
        )

    def see(self, item: Prepared, output: EngineOutput, row: int) -> FrameResult:
        """Take the next frame, which is ``row`` of the engine's output.

        Raises:
            InputError: the stream's picture size has changed.
        """
        frame = item.frame
        size = (frame.planes.width, frame.planes.height)
        if size != (self._box.source_width, self._box.source_height):
            raise InputError(
                self._stream,
                f"changes its picture size at frame {frame.index} to {size[0]}x{size[1]}",
                "cut it there",
            )
        slots = chosen(
            output.boxes[row],
            output.scores[row],
            output.classes[row],
            least=self._weak,
            nms_iou=self._manifest.nms_iou,
        )
        tracks = self._tracker.update(
            self._box.boxes_to_source(output.boxes[row][slots]),
            output.scores[row][slots],
            output.classes[row][slots],
            time_s=frame.time_s,
            embeddings=None if output.embeddings is None else output.embeddings[row][slots],
        )
        inside = np.clip(tracks.boxes_xyxy, 0, np.array(size * 2, dtype=np.float32))
        tracks = replace(tracks, boxes_xyxy=inside)
        distances = self._ranger.measure(
            None if output.depth is None else output.depth[row],
            self._box.boxes_to_network(inside),
            tracks.classes,
            time_s=frame.time_s,
        )
        return FrameResult(
            stream=self._stream,
            frame=frame.index,
            pts=frame.pts,
            time_base=frame.time_base,
            width=size[0],
            height=size[1],
            output_age_s=time.perf_counter() - item.decoded_s,
            classes=self._manifest.classes,
            tracks=tracks,
            distances=distances,
            calibration=self._hash,
        )


def _check_aspect(calibration: Calibration, width: int, height: int) -> None:
    if abs(calibration.width * height - calibration.height * width) > max(width, height):
        raise InputError(
            f"calibration of {calibration.camera}",
            f"is of {calibration.width}x{calibration.height} pixels, the video of {width}x{height}",
            "give the calibration of this camera",
        )
