"""One video into shards and rows, in one pass of decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.checksums import frame_checksums
from catseye.capture.clip_split import Span, frame_durations, gap_length, split
from catseye.capture.dataset import SHARDS_NAME, ClipOptions
from catseye.capture.geometry import letterbox, planes_to_rgb, resize_planes
from catseye.capture.hardware import Decoder
from catseye.capture.manifest import Clip
from catseye.capture.near_duplicates import Sample, SceneHasher, to_columns
from catseye.capture.quality import CORRUPT, DARK, FROZEN, OBSTRUCTED, STATIONARY, FrameScores, Scorer
from catseye.capture.redaction import Redact, blur, find_boxes
from catseye.capture.shards import Placed, ShardWriter
from catseye.capture.sources import VideoFile, VideoInfo, seconds
from catseye.errors import InputError

MIN_CLIP_S = 1.0
"""A shorter clip is set aside."""

SHORT, UNREADABLE, DUPLICATE, NEAR_DUPLICATE = "short", "unreadable", "duplicate", "near-duplicate"

_REASONS = {
    SHORT: f"is shorter than {MIN_CLIP_S:g} s",
    STATIONARY: "the camera stands",
    DARK: "the picture is dark",
    FROZEN: "the picture is frozen",
    OBSTRUCTED: "something on the lens hides the picture",
    CORRUPT: "the picture is damaged",
}
_NO_TIMES = np.zeros(0, dtype=np.int64)


def ingest_file(
    path: Path,
    *,
    sha256: str,
    folder: Path,
    options: ClipOptions,
    threads: int = 1,
    decoder: Decoder = "cpu",
    redact: Redact | None = None,
    stall_s: float | None = None,
    alive: Callable[[], None] = lambda: None,
) -> list[Clip]:
    """Decode a video once: score its frames, write them as shards, cut them into clips.

    What belongs to the file's place and neighbours (drive, split, speed, calibration) is left empty.

    Args:
        path: the video.
        sha256: of its bytes; names the shards and the clips.
        folder: the dataset.
        options: size and lengths.
        threads: decoder threads; they do not change the result.
        decoder: see ``hardware``.
        redact: names what to blur in the shards, see ``redaction``.
        stall_s: where no frame comes for so long, what came before is all there is.
        alive: called for every frame.

    Returns:
        A row for each clip, and one more for what could not be decoded, if anything.

    Raises:
        InputError: nothing of it can be read.
    """
    frames = _Frames()
    shards = ShardWriter(folder / SHARDS_NAME, sha256[:16], width=options.width, height=options.height)
    with VideoFile(path, threads=threads, decoder=decoder, stall_s=stall_s) as video, shards:
        scorer, hasher = Scorer(), SceneHasher()
        for frame in video.frames():
            alive()
            size = (frame.planes.width, frame.planes.height)
            box = letterbox(*size, options.width, options.height)
            scaled = resize_planes(frame.planes, box)
            frames.pts.append(frame.pts)
            frames.key_flags.append(frame.key)
            frames.sizes.append(size)
            frames.scores.append(
                scorer.score(
                    scaled,
                    time_s=frame.time_s,
                    key=frame.key,
                    damaged=frame.damaged,
                    source=frame.planes,
                )
            )
            frames.samples.append(hasher.samples(scaled.y, time_s=frame.time_s))
            if redact is not None:
                scaled = blur(scaled, box.scale_boxes(find_boxes(redact, planes_to_rgb(frame.planes))))
            since_first_s = seconds(frame.pts - frames.pts[0], video.info.time_base)
            frames.placed.append(shards.write(scaled, box, time_s=since_first_s))
    if not frames.pts:
        raise InputError(path, "has no frame that can be decoded", "record or copy it again")
    clips = _clips(path, sha256, video.info, frames, shards, options)
    lost = _what_is_lost(video, frames, options)
    return [*clips, set_aside(path, sha256, UNREADABLE, lost)] if lost else clips


def reason_for(tags: Iterable[str]) -> str:
    """Why a clip with these tags is not usable, or nothing."""
    return ", ".join(_REASONS[tag] for tag in sorted(tags))


def set_aside(path: Path | str, sha256: str, tag: str, reason: str, *, own_id: str = "") -> Clip:
    """A row without frames that says why a file, or a part of it, is not in the dataset."""
    return Clip(
        clip_id="-".join(part for part in (sha256[:16], own_id or tag) if part),
        source=str(path),
        source_sha256=sha256,
        drive="",
        vehicle="",
        camera="",
        start_time=None,
        width=0,
        height=0,
        time_base=Fraction(1),
        pts=_NO_TIMES,
        durations=_NO_TIMES,
        key_flags=_NO_TIMES.astype(bool),
        shard="",
        shard_pts=_NO_TIMES,
        shard_key_flags=_NO_TIMES.astype(bool),
        tags=frozenset({tag}),
        usable=False,
        reason=reason,
        split="",
        speed_mps=_NO_TIMES.astype(np.float32),
        intrinsics=None,
        calibration_hash="",
        brightness=float("nan"),
        sharpness=float("nan"),
        motion=float("nan"),
    )


@dataclass
class _Frames:
    """What is noted of each frame while decoding."""

    pts: list[int] = field(default_factory=list)
    key_flags: list[bool] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    scores: list[FrameScores] = field(default_factory=list)
    samples: list[list[Sample]] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)

    def breaks(self) -> list[int]:
        """Frames of another size or in another shard than the one before."""
        homes = list(zip(self.sizes, (place.shard for place in self.placed), strict=True))
        return [i for i in range(1, len(homes)) if homes[i] != homes[i - 1]]


def _clips(
    path: Path, sha256: str, info: VideoInfo, frames: _Frames, shards: ShardWriter, options: ClipOptions
) -> list[Clip]:
    pts = np.array(frames.pts, dtype=np.int64)
    gap = gap_length(pts, info.time_base, gap_s=options.gap_s)
    durations = frame_durations(pts, gap=gap)
    shard_pts = np.array([place.pts for place in frames.placed], dtype=np.int64)
    shard_keys = np.array([place.key for place in frames.placed], dtype=bool)
    checksums = _checksums(frames.placed, shards)
    key_flags = np.array(frames.key_flags, dtype=bool)
    spans = split(
        pts,
        frames.scores,
        time_base=info.time_base,
        gap=gap,
        breaks=frames.breaks(),
        max_clip_s=options.max_clip_s,
    )

    def clip(span: Span) -> Clip:
        at = slice(span.start, span.stop)
        scores = frames.scores[at]
        seconds = float((pts[at][-1] - pts[at][0] + durations[at][-1]) * info.time_base)
        tags = span.tags | ({SHORT} if seconds < MIN_CLIP_S - 1e-6 else set())
        scene_hashes, scene_start = to_columns([sample for found in frames.samples[at] for sample in found])
        since_start = timedelta(seconds=float((int(pts[span.start]) - info.start_pts) * info.time_base))
        return Clip(
            clip_id=f"{sha256[:16]}-{span.start:07d}",
            source=str(path),
            source_sha256=sha256,
            drive="",
            vehicle="",
            camera="",
            start_time=info.created + since_start if info.created else None,
            width=frames.sizes[span.start][0],
            height=frames.sizes[span.start][1],
            time_base=info.time_base,
            pts=pts[at],
            durations=durations[at],
            key_flags=key_flags[at],
            shard=f"{SHARDS_NAME}/{shards.name(frames.placed[span.start].shard)}",
            shard_pts=shard_pts[at],
            shard_key_flags=shard_keys[at],
            shard_checksums=checksums[at],
            tags=tags,
            usable=not tags,
            reason=reason_for(tags),
            split="",
            speed_mps=np.full(span.stop - span.start, np.nan, dtype=np.float32),
            intrinsics=None,
            calibration_hash="",
            brightness=_median(score.brightness for score in scores),
            sharpness=_median(score.sharpness for score in scores),
            motion=_median(score.motion for score in scores),
            obstruction=_median(score.obstruction for score in scores),
            corruption=max(_corruption(score) for score in scores),
            scene_hashes=scene_hashes,
            scene_start=scene_start,
        )

    return [clip(span) for span in spans]


def _checksums(placed: Sequence[Placed], shards: ShardWriter) -> NDArray[np.uint32]:
    """Of each frame, as its shard now lies on the disk; a shard is read once."""
    found = {shard: frame_checksums(shards.path(shard)) for shard in sorted({at.shard for at in placed})}
    return np.array([found[at.shard][at.pts] for at in placed], dtype=np.uint32)


def _corruption(score: FrameScores) -> float:
    """The greatest share of a picture that is damaged, as far as it was looked at."""
    return 1.0 if score.damaged else max(np.nan_to_num([score.torn, score.filled]).tolist())


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")


def _what_is_lost(video: VideoFile, frames: _Frames, options: ClipOptions) -> str:
    """Why the rows are not the whole of the file, or nothing."""
    info = video.info
    faults = []
    if video.corrupt_packets:
        faults.append(f"{video.corrupt_packets} packets could not be decoded")
    if video.stalled:
        faults.append(video.stalled)
    pts = np.array(frames.pts, dtype=np.int64)
    gap = gap_length(pts, info.time_base, gap_s=options.gap_s)
    end = int(pts.max()) + int(frame_durations(pts, gap=gap)[-1]) - info.start_pts
    missing_s = info.duration_s - float(end * info.time_base)
    if missing_s > float(gap * info.time_base):
        faults.append(f"the file ends {missing_s:.1f} s before the {info.duration_s:.1f} s that it states")
    return "; ".join(faults)
