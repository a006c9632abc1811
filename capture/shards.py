"""Shards: a source's frames again, at network size, with a key frame a second of real time.

Training reads random short clips, and what that costs is the way from the last key frame. A shard's clock
starts at 0 and ticks at 90 kHz; the exact source times are in the manifest.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from catseye.capture.geometry import Letterbox, Planes, pad_planes
from catseye.capture.writer import VideoWriter

TIME_BASE = Fraction(1, 90_000)
KEY_INTERVAL_S = 1.0
SHARD_S = 300.0
"""A shard takes no more frames after this long, which keeps it small enough to fetch whole."""

CRF = 20
PRESET = "veryfast"
B_FRAMES = 3
QUICK_TO_READ = {"tune": "fastdecode", "b-pyramid": "none", "b_strategy": "0", "x264-params": "pbratio=1.0"}
"""What makes random reading quick, beside ``B_FRAMES``: see Note [What a random read decodes]."""

# Note [What a random read decodes]
# Three of four frames are B-frames that nothing refers to, so a reader passes over those it does not want.
# Neither arithmetic coding nor deblocking, which cost more than half of the decoding at this bit rate. With
# a pbratio of 1 the B-frames are quantised like the others: a frame's quality does not tell its place.
# On 300 frames of two drives, 4 frames over 0.6 s: 2.5 times less time than every frame decoded, 4 times less
# than x264's usual coding, for 13 % more bytes.

_SLACK_S = 1e-3
_NO_OWN_KEYS = 1_000_000_000


@dataclass(frozen=True)
class Placed:
    """Where a frame went: which of the shards, its pts there, and whether it is a key frame."""

    shard: int
    pts: int
    key: bool


class ShardWriter:
    """Writes one source's frames into as many shards as it takes; use as a context manager.

    Args:
        folder: where the shards go.
        stem: what their names begin with; ``-000.mp4`` and so on follow.
        width, height: network size in pixels.
    """

    def __init__(self, folder: Path, stem: str, *, width: int, height: int) -> None:
        self._folder, self._stem, self._size = folder, stem, (width, height)
        self._open = ExitStack()
        self._writer: VideoWriter | None = None
        self._colour: tuple[str, bool] | None = None
        self._shard = -1
        self._shard_start_s = self._key_s = self._time_s = 0.0
        self._last_pts = -1

    def name(self, shard: int) -> str:
        return f"{self._stem}-{shard:03d}.mp4"

    def path(self, shard: int) -> Path:
        return self._folder / self.name(shard)

    def write(self, scaled: Planes, box: Letterbox, *, time_s: float) -> Placed:
        """Add a picture that ``resize_planes`` made, ``time_s`` seconds into the source.

        Where the source's time goes back, the shard's goes on, from a key frame.
        """
        new_colour = (scaled.matrix, scaled.full_range) != self._colour
        back = time_s < self._time_s
        if back:
            self._shard_start_s = time_s - float((self._last_pts + 1) * TIME_BASE)
        key = new_colour or back or time_s - self._key_s >= KEY_INTERVAL_S - _SLACK_S
        if new_colour or (key and time_s - self._shard_start_s >= SHARD_S):
            self._start_shard(scaled, time_s)
        pts = max(self._last_pts + 1, round((time_s - self._shard_start_s) / TIME_BASE))
        assert self._writer is not None
        self._writer.write_planes(pad_planes(scaled, box), pts=pts, key=key)
        self._time_s, self._last_pts = time_s, pts
        if key:
            self._key_s = time_s
        return Placed(self._shard, pts, key)

    def _start_shard(self, planes: Planes, time_s: float) -> None:
        self._open.close()
        self._shard += 1
        width, height = self._size
        # One encoder thread: the same source gives the same bytes on every machine.
        self._writer = self._open.enter_context(
            VideoWriter(
                self.path(self._shard),
                width=width,
                height=height,
                time_base=TIME_BASE,
                gop=_NO_OWN_KEYS,
                crf=CRF,
                preset=PRESET,
                b_frames=B_FRAMES,
                matrix=planes.matrix,
                full_range=planes.full_range,
                threads=1,
                x264=QUICK_TO_READ,
            )
        )
        self._colour = (planes.matrix, planes.full_range)
        self._shard_start_s, self._last_pts = time_s, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def crop_planes(planes: Planes, box: Letterbox) -> Planes:
    """The picture within a padded network frame: the inverse of ``geometry.pad_planes``."""
    y, u, v = (
        plane[box.top // step : (box.top + box.scaled_height) // step,
              box.left // step : (box.left + box.scaled_width) // step]
        for plane, step in ((planes.y, 1), (planes.u, 2), (planes.v, 2))
    )  # fmt: skip
    return Planes(y=y, u=u, v=v, matrix=planes.matrix, full_range=planes.full_range)
