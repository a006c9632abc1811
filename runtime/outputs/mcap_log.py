"""Frames with their results as MCAP, which Foxglove plays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from glob import escape
from itertools import count
from pathlib import Path
from time import monotonic
from types import TracebackType

from typing_extensions import Self

from catseye.capture.calibration import Calibration
from catseye.capture.sources import Frame
from catseye.runtime.outputs.foxglove import (
    camera_calibration,
    compressed_image,
    encoded,
    image_annotations,
    jpeg,
    picture_size,
    scene_update,
    time_ns,
)
from catseye.runtime.outputs.foxglove_schemas import RECORD
from catseye.runtime.outputs.mcap_file import PART, McapFile, check_library, finish_left
from catseye.runtime.results import FrameResult

_log = logging.getLogger(__name__)

MOST_BYTES = 512 << 20
LONGEST_S = 3600.0


class McapLog:
    """Takes each frame with its result, a sink of the pipeline; use as a context manager.

    A stream has the topics ``/NAME/record`` (as ``results.schema.json`` says), ``/NAME/annotations``,
    ``/NAME/picture`` and, with a calibration, ``/NAME/calibration`` and ``/NAME/scene``. A message's place in
    time is when its frame was taken, see ``foxglove.time_ns``.

    Pictures are encoded anew, as JPEG. The packets that they came in would cost nothing to pass on, but a
    frame that overload has dropped would be missing in them, without which the later ones do not decode, and
    viewers take no B-frames; ``record`` is what keeps them.

    Files of videos are finished at the end; when the work fails, what is done stays in ``<name>.part``. A run
    that has no end writes ``<stem>-<UTC>.mcap``, one after the other, so that neither a file nor the memory
    for its index grows for ever; what a killed run has left of them is closed first.

    Args:
        path: ends in ``.mcap``.
        endless: whether the sources are live.
        calibrations: of the cameras by their streams' names.
        widest: most pixels of a picture's width; 0 writes none, and annotations are in pixels of the source.
        most_bytes, longest_s: after which an endless log begins the next file.

    Raises:
        MissingExtraError: the library that writes MCAP is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        endless: bool,
        calibrations: Mapping[str, Calibration],
        widest: int,
        most_bytes: int = MOST_BYTES,
        longest_s: float = LONGEST_S,
    ) -> None:
        check_library()
        self.path = Path(path)
        self._endless, self._calibrations, self._widest = endless, calibrations, widest
        self._most_bytes, self._longest_s = most_bytes, longest_s
        self._file: McapFile | None = None
        self._sizes: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._endless:
            self._finish_left()
        self._begin()
        return self

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Append what is known of a frame.

        Raises:
            OSError: it could not be written.
        """
        file = self._current()
        at_ns, name = time_ns(result), result.stream
        topic = f"/{name.strip('/')}"
        size = (result.width, result.height)
        if self._widest:
            size = picture_size(result, frame.planes, self._widest)
            picture = compressed_image(jpeg(frame.planes, size), at_ns=at_ns, frame_id=name)
            file.add(f"{topic}/picture", "foxglove.CompressedImage", picture, at_ns=at_ns)
        annotations = image_annotations(result, size, at_ns=at_ns)
        file.add(f"{topic}/annotations", "foxglove.ImageAnnotations", encoded(annotations), at_ns=at_ns)
        if (calibration := self._calibrations.get(name)) is not None:
            if self._sizes.get(name) != size:
                self._sizes[name] = size
                camera = camera_calibration(calibration, size, at_ns=at_ns, frame_id=name)
                file.add(f"{topic}/calibration", "foxglove.CameraCalibration", encoded(camera), at_ns=at_ns)
            scene = scene_update(result, calibration, at_ns=at_ns, frame_id=name)
            file.add(f"{topic}/scene", "foxglove.SceneUpdate", encoded(scene), at_ns=at_ns)
        file.add(f"{topic}/record", RECORD, encoded(result.record()), at_ns=at_ns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if error is None:
            self._file.finish()
        else:
            _log.warning("results are kept in %s", self._file.leave())

    def _current(self) -> McapFile:
        file = self._file
        if file is None:
            return self._begin()
        is_short = file.written < self._most_bytes and monotonic() - self._began_s < self._longest_s
        if is_short or not self._endless:
            return file
        self._file = None  # if it cannot be finished, that is said once
        file.finish()
        return self._begin()

    def _begin(self) -> McapFile:
        self._file = McapFile(self._next_path() if self._endless else self.path)
        self._began_s = monotonic()
        self._sizes.clear()
        return self._file

    def _next_path(self) -> Path:
        stem = f"{self.path.stem}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        names = (f"{stem}{f'-{number}' if number else ''}.mcap" for number in count())
        paths = (self.path.with_name(name) for name in names)
        return next(path for path in paths if not path.exists() and not _part_of(path).exists())

    def _finish_left(self) -> None:
        for part in sorted(self.path.parent.glob(f"{escape(self.path.stem)}-*.mcap{PART}")):
            try:
                finish_left(part)
            except OSError as error:
                _log.warning("%s: what a killed run has left cannot be closed (%s)", part, error)


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + PART)
