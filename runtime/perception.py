"""Frame by frame from network input to tracks with distances: what ``run`` and ``bench`` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox
from catseye.capture.sources import Frame
from catseye.errors import InputError
from catseye.runtime.distance import Ranger
from catseye.runtime.engines.base import Engine, EngineOutput, Inputs, OverlappingEngine
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import filled, network_input, stacked
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.base import SourceFrame
from catseye.runtime.sources.files import from_file
from catseye.runtime.suppression import chosen
from catseye.runtime.tracker import Tracker

T = TypeVar("T")

_SURE = 1.25
"""Times the showing threshold: the score from which a detection may start a track."""
_WEAK = 0.25
"""Times the showing threshold: the score below which a detection is of no use to a track."""


@dataclass(frozen=True)
class Prepared:
    """A frame as its source gave it, what the graph takes of it, and the number of its stream."""

    source: SourceFrame
    inputs: Inputs
    stream: int = 0

    @property
    def frame(self) -> Frame:
        return self.source.frame


def prepare(frame: SourceFrame | Frame, manifest: Manifest, *, stream: int = 0) -> Prepared:
    """Resize and convert a frame. One that no source has given counts as arriving now."""
    source = from_file(frame) if isinstance(frame, Frame) else frame
    return Prepared(source, network_input(source.frame.planes, manifest.network), stream)


def infer(engine: Engine, manifest: Manifest, group: Sequence[Prepared]) -> EngineOutput:
    """Run the engine on up to a batch of frames. A batch that is not full is filled up by its last frame."""
    return engine.infer(_batch(manifest, group))


def inferred(
    engine: Engine,
    manifest: Manifest,
    groups: Iterable[Sequence[Prepared]],
    *,
    ready: Callable[[], bool] = lambda: True,
) -> Generator[tuple[Sequence[Prepared], EngineOutput], None, None]:
    """Each group of frames with its outputs; see ``infer``.

    An engine that can overlap calls works on the next group while whoever iterates is busy with this one.

    Args:
        ready: whether to wait for the next group before this one's outputs are given. Of a live stream it
            may be long in coming.
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
            if not ready():
                now, under_way = under_way, None
                yield now[0], engine.finish(now[1])
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

    Tracking begins anew, and ids go on, with each epoch of the source and each change of its picture size.

    Args:
        manifest: of the bundle that the engine runs.
        stream: name for the results.
        calibration: of the camera, or None.
        threshold: score from which a detection counts as sure of itself.
        min_likeness, camera_motion: see ``Tracker``.

    Attributes:
        epochs: times that tracking has begun.
        last_id: the highest id given so far.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        stream: str,
        calibration: Calibration | None,
        threshold: float,
        min_likeness: float = 0.0,
        camera_motion: bool = False,
    ) -> None:
        self._manifest, self._stream, self._calibration = manifest, stream, calibration
        self._hash = calibration.content_hash if calibration is not None else None
        self._threshold, self._weak = threshold, _WEAK * threshold
        self._min_likeness, self._camera_motion = min_likeness, camera_motion
        self._course: tuple[int, int, int] | None = None
        self.epochs = self.last_id = 0

    def begin_anew(self) -> None:
        """Let all tracks end before the next frame."""
        self._course = None

    def _begin(self, width: int, height: int) -> None:
        """Begin tracking in frames of this size."""
        if self._calibration is not None:
            _check_aspect(self._calibration, width, height)
        self._box: Letterbox = self._manifest.network.letterbox(width, height)
        self._ranger = Ranger(
            depth=self._manifest.depth,
            calibration=self._calibration,
            box=self._box,
            shapes=self._manifest.shapes(),
            cues=self._manifest.cues,
        )
        self._tracker = Tracker(
            high_threshold=self._threshold,
            start_threshold=min(1.0, _SURE * self._threshold),
            low_threshold=self._weak,
            min_likeness=self._min_likeness,
            camera_motion=self._camera_motion,
        )
        self._corner = np.array([width, height, width, height], dtype=np.float32)
        self._ids_before = self.last_id
        self.epochs += 1

    def see(self, item: Prepared, output: EngineOutput, row: int) -> FrameResult:
        """Take the next frame, which is ``row`` of the engine's output.

        Raises:
            InputError: the calibration is of a camera with another aspect.
        """
        frame, source = item.frame, item.source
        size = (source.width, source.height)
        course = (source.epoch, *size)
        if course != self._course:
            self._begin(*size)
            self._course = course
        time_s = frame.time_s
        boxes, scores, classes = output.boxes[row], output.scores[row], output.classes[row]
        slots = chosen(boxes, scores, classes, least=self._weak, nms_iou=self._manifest.nms_iou)
        found = self._box.boxes_to_source(boxes[slots])
        looks = output.embeddings if self._min_likeness else None
        tracks = self._tracker.update(
            found,
            scores[slots],
            classes[slots],
            time_s=time_s,
            embeddings=None if looks is None else looks[row][slots],
            frame=frame.planes.y,
            frame_width=size[0],
        )
        # The tracker keeps none of the arrays that it gives out.
        ids, inside = tracks.ids, tracks.boxes_xyxy
        ids += self._ids_before
        np.minimum(np.maximum(inside, 0, out=inside), self._corner, out=inside)
        if len(ids):
            self.last_id = max(self.last_id, int(ids[-1]))
        distances = self._ranger.measure(
            None if output.depth is None else output.depth[row],
            # As detected: the tracker's filtered box lags behind what is near and fast.
            self._box.boxes_to_network(found[tracks.detection_index]),
            tracks.classes,
            time_s=time_s,
            ids=ids,
        )
        return FrameResult(
            stream=self._stream,
            frame=frame.index,
            pts=frame.pts,
            time_base=frame.time_base,
            width=size[0],
            height=size[1],
            output_age_s=time.perf_counter() - source.arrived_s,
            classes=self._manifest.classes,
            tracks=tracks,
            distances=distances,
            calibration=self._hash,
            epoch=self.epochs - 1,
            captured_utc_ns=source.captured_utc_ns,
            clock=source.clock,
        )


def _check_aspect(calibration: Calibration, width: int, height: int) -> None:
    if abs(calibration.width * height - calibration.height * width) > max(width, height):
        raise InputError(
            f"calibration of {calibration.camera}",
            f"is of {calibration.width}x{calibration.height} pixels, the video of {width}x{height}",
            "give the calibration of this camera",
        )
