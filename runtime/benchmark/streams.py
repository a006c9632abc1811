"""How many live streams are kept up with, and how fast a single one may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from catseye.capture.sources import Frame
from catseye.progress import Progress, silent
from catseye.runtime.benchmark.distribution import Distribution
from catseye.runtime.benchmark.live_replay import LiveReplay, frame_rate
from catseye.runtime.benchmark.report import StreamLimits, StreamTrial
from catseye.runtime.engines.base import Engine
from catseye.runtime.manifest import Manifest
from catseye.runtime.pipeline import track_streams
from catseye.runtime.results import FrameResult, line_of

LOST = 0.01
"""Share of the frames due from which a stream is not kept up with."""
_MOST_STREAMS = 64
_NARROWINGS = 3
_MOST_DOUBLINGS = 6


def stream_limits(
    engine: Engine, manifest: Manifest, path: Path, *, seconds: float, progress: Progress = silent
) -> StreamLimits:
    """Play a video as cameras do, ever more of them, and then one ever faster.

    Args:
        seconds: of each trial; a hundred frames are needed for one lost to be a hundredth.
    """
    trials: list[StreamTrial] = []

    def keeps_up(streams: int, rate: float) -> bool:
        trials.append(run_trial(engine, manifest, path, streams=streams, rate=rate, seconds=seconds))
        progress("live streams", len(trials), len(trials) + 1)
        return trials[-1].lost_share < LOST

    rate = frame_rate(path)
    most = most_streams(lambda streams: keeps_up(streams, rate))
    highest = highest_rate(lambda faster: keeps_up(1, faster), rate, known=most > 0)
    progress("live streams", len(trials), len(trials))
    return StreamLimits(trials=tuple(trials), most_streams=most, highest_rate_per_s=highest)


def run_trial(
    engine: Engine, manifest: Manifest, path: Path, *, streams: int, rate: float, seconds: float
) -> StreamTrial:
    """So many replays of a video at once, through the whole pipeline; the records are made and let go."""
    sources = [
        LiveReplay(path, name=f"{number}", rate=rate, for_s=seconds, after_s=number / (streams * rate))
        for number in range(streams)
    ]
    ages_ms: list[float] = []

    def sink(_: Frame, result: FrameResult) -> None:
        line_of(result.record())
        ages_ms.append(1e3 * result.output_age_s)

    summaries = track_streams(engine, manifest, sources, threshold=manifest.score_threshold, sinks=[sink])
    return StreamTrial(
        streams=streams,
        rate_per_s=rate,
        due=sum(source.due for source in sources),
        processed=sum(summary.processed for summary in summaries),
        age=Distribution.of(ages_ms) if ages_ms else None,
    )


def most_streams(keeps_up: Callable[[int], bool], *, most: int = _MOST_STREAMS) -> int:
    """The highest number that is kept up with, by doubling and then halving what is left; 0 for none."""
    low, high = 0, 1
    while high <= most and keeps_up(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps_up(middle) else (low, middle)
    return low


def highest_rate(keeps_up: Callable[[float], bool], first: float, *, known: bool) -> float | None:
    """The highest rate found that is kept up with, within a tenth of the lowest that is not; None for none.

    Args:
        first: where to begin.
        known: whether that one is kept up with.
    """
    low, high = (first, 2 * first) if known else (first / 2, first)
    for _ in range(_MOST_DOUBLINGS):
        if keeps_up(high if known else low) is not known:
            break
        low, high = (high, 2 * high) if known else (low / 2, low)
    else:
        return low if known else None
    for _ in range(_NARROWINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if keeps_up(middle) else (low, middle)
    return low
