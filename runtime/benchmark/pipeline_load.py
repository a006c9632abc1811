"""The whole way of a frame as a system under test: from the packet to the record that is put out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from catseye.capture.sources import Frame, VideoFile
from catseye.runtime.benchmark.scenarios import Clock, Serve, Timeline
from catseye.runtime.engines.base import Engine
from catseye.runtime.manifest import Manifest
from catseye.runtime.perception import Perception, grouped, infer, prepare
from catseye.runtime.pipeline import track_video
from catseye.runtime.results import FrameResult, line_of


@contextmanager
def frame_by_frame(engine: Engine, manifest: Manifest, path: Path) -> Iterator[Serve]:
    """Yield what takes the next frames of a video, a batch, from the decoder to their records.

    All is done within the call and nothing beside it: the decoder has one thread, as one that works ahead
    would do its work in the time of others' frames. A batch larger than one is answered as a whole.
    """
    with VideoFile(path, threads=1) as file:
        perception = Perception(
            manifest,
            stream=str(path),
            calibration=None,
            threshold=manifest.score_threshold,
        )
        groups = grouped((prepare(frame, manifest) for frame in file.frames()), manifest.network.batch)

        def serve(number: int) -> None:
            group = next(groups)
            output = infer(engine, manifest, group)
            for row, item in enumerate(group):
                line_of(perception.see(item, output, row).record())

        yield serve


def whole_file(engine: Engine, manifest: Manifest, path: Path, *, limit: int, clock: Clock) -> Timeline:
    """Offline: a file's first ``limit`` frames with decoding, inference and tracking beside each other."""
    ends: list[float] = []

    def sink(_: Frame, result: FrameResult) -> None:
        line_of(result.record())
        ends.append(clock.now())

    start = clock.now()
    with VideoFile(path) as file:
        track_video(engine, manifest, file, threshold=manifest.score_threshold, sinks=[sink], limit=limit)
    begun = np.full(len(ends), start)
    return Timeline(begun, begun, np.array(ends))
