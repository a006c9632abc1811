"""``bench``: how long a bundle takes on this machine, frame by frame and all stages beside each other."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from catseye.capture.sources import VideoFile
from catseye.capture.writer import VideoWriter
from catseye.errors import InputError, UsageError
from catseye.files import sha256_of
from catseye.progress import Progress, silent
from catseye.runtime.bundle import Manifest, open_bundle
from catseye.runtime.engines.base import Engine, Inputs
from catseye.runtime.engines.load import load_engine
from catseye.runtime.fingerprint import Fingerprint
from catseye.runtime.latency import Latency
from catseye.runtime.perception import Perception, grouped, infer, prepare
from catseye.runtime.pipeline import track_video
from catseye.runtime.plan_options import PlanOptions

SCHEMA_VERSION = "1.0"

_RENDERED = (1280, 720, 120)
_RENDERED_RATE = 25
_NOISE_FRAMES = 8


@dataclass(frozen=True)
class BenchReport:
    """What was measured, and on what.

    Args:
        engine_only: one call of the engine on a batch of deterministic noise, copies in and out included.
        end_to_end: one frame at a time from the packet to its tracks: decoding, resizing, engine, tracker. It
            is a closed loop: the next frame is taken when the one before is done.
        throughput_fps: frames a second with decoding, inference and tracking beside each other.
        cold_start_s: from opening the bundle to the engine's first output.
        peak_memory_mib: the largest resident size of this process so far.
        fingerprint: machine, software and input.
    """

    engine_only: Latency
    end_to_end: Latency
    throughput_fps: float
    cold_start_s: float
    peak_memory_mib: float
    fingerprint: Fingerprint

    def table(self) -> list[tuple[str, str]]:
        """Rows of a name and what to print beside it."""
        machine = self.fingerprint
        return [
            ("engine only", _describe(self.engine_only)),
            ("end to end", _describe(self.end_to_end)),
            ("throughput", f"{self.throughput_fps:.1f} frames/s"),
            ("cold start", f"{self.cold_start_s:.2f} s"),
            ("peak memory", f"{self.peak_memory_mib:.0f} MiB"),
            ("engine", f"{machine.engine}, threads {machine.threads or 'all'}"),
            ("input", machine.input),
            ("machine", f"{machine.cpu}, {machine.cores} cores, {machine.os}"),
        ]

    def figures(self) -> dict[str, float]:
        """The headline figures by name."""
        return {
            "engine_p50_ms": self.engine_only.p50_ms,
            "end_to_end_p50_ms": self.end_to_end.p50_ms,
            "end_to_end_p99_ms": self.end_to_end.p99_ms,
            "frames_per_second": self.throughput_fps,
            "cold_start_s": self.cold_start_s,
            "peak_memory_mib": self.peak_memory_mib,
        }

    def to_json(self) -> dict[str, Any]:
        """The whole of it as a document."""
        return {
            "schema_version": SCHEMA_VERSION,
            "engine_only": self.engine_only.to_json(),
            "end_to_end": self.end_to_end.to_json(),
            "throughput_fps": round(self.throughput_fps, 3),
            "cold_start_s": round(self.cold_start_s, 4),
            "peak_memory_mib": round(self.peak_memory_mib, 1),
            "fingerprint": self.fingerprint.to_json(),
        }


def bench(
    bundle: str | Path,
    source: str | Path | None = None,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    calls: int = 200,
    frames: int = 300,
    warm_up: int = 10,
    progress: Progress = silent,
) -> BenchReport:
    """Measure a bundle on this machine.

    Args:
        bundle: a signed bundle.
        source: a video file; None renders one of 1280×720 with moving rectangles.
        engine: what executes the graph, see ``load_engine``.
        precision: which of the bundle's graphs, likewise.
        threads: cores one call of the engine may use on the CPU; 0 takes all.
        plans: how TensorRT's plans are built and kept, see ``load_engine``.
        calls: of the engine alone.
        frames: of the source at most, taken one at a time, and then again with all stages beside each other.
        warm_up: calls and frames before those that count.

    Raises:
        InputError: the bundle or the source is not what it must be.
        UsageError: an option has a value that cannot be.
        CatseyeError: the engine does not load the graph.
    """
    for name, value, least in (("calls", calls, 1), ("frames", frames, 1), ("warm_up", warm_up, 0)):
        if value < least:
            raise UsageError(f"{name} is {value}: give {least} or more")
    if source is not None:
        VideoFile(source).close()
    began = perf_counter()
    opened = open_bundle(bundle)
    with closing(
        load_engine(opened, engine=engine, precision=precision, threads=threads, plans=plans)
    ) as runner:
        noise = _noise(opened.manifest)
        runner.infer(noise[0])
        cold_start_s = perf_counter() - began
        engine_only = _time_engine(runner, noise, calls=calls, warm_up=warm_up, progress=progress)
        with _input(source) as path:
            end_to_end = _time_frames(
                runner, opened.manifest, path, frames=frames, warm_up=warm_up, progress=progress
            )
            throughput = _time_all(runner, opened.manifest, path, limit=warm_up + frames, progress=progress)
            fingerprint = Fingerprint.take(
                engine=runner.name,
                threads=threads,
                bundle_sha256=opened.sha256,
                input_name=path.name if source is not None else "rendered 1280x720",
                input_sha256=sha256_of(path),
            )
    return BenchReport(
        engine_only=engine_only,
        end_to_end=end_to_end,
        throughput_fps=throughput,
        cold_start_s=cold_start_s,
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        fingerprint=fingerprint,
    )


def _time_engine(
    engine: Engine, noise: list[Inputs], *, calls: int, warm_up: int, progress: Progress
) -> Latency:
    spent = []
    for call in range(-warm_up, calls):
        batch = noise[call % len(noise)]
        before = perf_counter()
        engine.infer(batch)
        if call >= 0:
            spent.append(perf_counter() - before)
            progress("engine only", call + 1, calls)
    return _known(spent)


def _time_frames(
    engine: Engine, manifest: Manifest, path: Path, *, frames: int, warm_up: int, progress: Progress
) -> Latency:
    """Per frame, from asking the decoder for it; a batch larger than one is shared by its frames."""
    spent: list[float] = []
    with VideoFile(path) as file:
        perception = _perception(manifest, file)
        groups = grouped((prepare(frame, manifest) for frame in file.frames()), manifest.network.batch)
        taken = 0
        while len(spent) < frames:
            before = perf_counter()
            group = next(groups, None)
            if group is None:
                break
            output = infer(engine, manifest, group)
            for row, item in enumerate(group):
                perception.see(item, output, row)
            if taken >= warm_up:
                spent.extend([perf_counter() - before] * len(group))
                progress("end to end", min(len(spent), frames), frames)
            taken += len(group)
        progress("end to end", len(spent), len(spent))
    if not spent:
        raise InputError(path, f"has no more than {warm_up} frames, the warm-up", "give a longer video")
    return _known(spent)


def _time_all(engine: Engine, manifest: Manifest, path: Path, *, limit: int, progress: Progress) -> float:
    with VideoFile(path) as file:
        summary = track_video(
            engine, manifest, file, threshold=manifest.score_threshold, limit=limit, progress=progress
        )
    return summary.fps


def _perception(manifest: Manifest, file: VideoFile) -> Perception:
    return Perception(
        manifest,
        stream=str(file.path),
        width=file.info.width,
        height=file.info.height,
        calibration=None,
        threshold=manifest.score_threshold,
    )


def _known(spent: list[float]) -> Latency:
    latency = Latency.of(spent)
    assert latency is not None, "something was timed"
    return latency


def _describe(latency: Latency) -> str:
    return (
        f"p50 {latency.p50_ms:.2f}  p90 {latency.p90_ms:.2f}  p99 {latency.p99_ms:.2f}  "
        f"max {latency.max_ms:.2f} ms"
    )


def _noise(manifest: Manifest) -> list[Inputs]:
    """Batches that no cache or predictor can know, the same on every machine."""
    draw = np.random.default_rng(0)
    inputs = manifest.network.inputs()
    return [
        {value.name: draw.integers(0, 256, value.shape, dtype=np.uint8) for value in inputs}
        for _ in range(_NOISE_FRAMES)
    ]


@contextmanager
def _input(source: str | Path | None) -> Iterator[Path]:
    """The source, or a rendered clip that is gone afterwards."""
    if source is not None:
        yield Path(source)
        return
    with TemporaryDirectory(prefix="catseye-bench-") as folder:
        path = Path(folder) / "rendered.mp4"
        render(path)
        yield path


def render(path: Path) -> None:
    """A clip of 120 frames at 1280×720: bright rectangles that cross a dark gradient."""
    width, height, count = _RENDERED
    ground = np.linspace(40, 90, height, dtype=np.uint8)[:, None, None] * np.ones((1, width, 3), np.uint8)
    with VideoWriter(path, width=width, height=height, time_base=Fraction(1, _RENDERED_RATE)) as writer:
        for k in range(count):
            frame = ground.copy()
            for lane in range(4):
                left, top = (k * (4 + 3 * lane) + 300 * lane) % width, 200 + 110 * lane
                frame[top : top + 60, left : left + 100] = 255 - 40 * lane
            writer.write_rgb(frame, pts=k)
