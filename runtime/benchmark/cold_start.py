"""From nothing to the first result, and the memory it takes: each time in a process of its own.

Files stay in the system's cache, so that it is the start after a crash, not the first after power-on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from catseye.errors import CatseyeError

_TIMEOUT_S = 600.0


class ColdStart(BaseModel):
    """Seconds from the start of a process, and its memory in MiB.

    Args:
        imported_s: Python and the libraries are there.
        opened_s: the bundle's signature and hashes hold.
        loaded_s: the engine is ready.
        first_result_s: the first frame's tracks are there.
        frames: how many were run until memory was read.
        peak_memory_mib: the largest resident size; of this process alone, from its own page tables.
        gpu_memory_mib: what the GPU has less free than before the engine was loaded; None without a GPU.
    """

    model_config = ConfigDict(frozen=True)

    imported_s: float
    opened_s: float
    loaded_s: float
    first_result_s: float
    frames: int
    peak_memory_mib: float
    gpu_memory_mib: float | None = None


def cold_start(bundle: str | Path, source: Path, *, frames: int, **engine_options: Any) -> ColdStart:
    """Run a new Python process on the first ``frames`` frames of a video.

    Args:
        engine_options: of ``load_engine``; of ``plans`` what makes them, by name.

    Raises:
        CatseyeError: the process fails.
    """
    task = {
        "began": perf_counter(),
        "bundle": str(bundle),
        "source": str(source),
        "frames": frames,
        "options": engine_options,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(task, default=str)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CatseyeError(f"{bundle}: a process that starts cold fails: {reason}")
    return ColdStart.model_validate_json(done.stdout.splitlines()[-1])


def main(task: dict[str, Any]) -> ColdStart:
    """What the process does."""
    from contextlib import closing

    from catseye.capture.sources import VideoFile
    from catseye.runtime.bundle import open_bundle
    from catseye.runtime.engines.load import load_engine
    from catseye.runtime.pipeline import tracked_frames
    from catseye.runtime.plan_options import PlanOptions

    def since() -> float:
        return perf_counter() - float(task["began"])

    options = dict(task["options"])
    if options.get("plans") is not None:
        options["plans"] = PlanOptions(**options["plans"])
    imported = since()
    bundle = open_bundle(task["bundle"])
    opened = since()
    free = _gpu_free_mib()
    first, frames = 0.0, 0
    with closing(load_engine(bundle, **options)) as engine, VideoFile(task["source"]) as file:
        loaded = since()
        threshold = bundle.manifest.score_threshold
        results = tracked_frames(engine, bundle.manifest, file, threshold=threshold, limit=task["frames"])
        for _ in results:
            first = first or since()
            frames += 1
        taken = None if free is None else free - (_gpu_free_mib() or 0.0)
    return ColdStart(
        imported_s=imported,
        opened_s=opened,
        loaded_s=loaded,
        first_result_s=first,
        frames=frames,
        peak_memory_mib=peak_memory_mib(),
        gpu_memory_mib=taken,
    )


def peak_memory_mib(status: Path = Path("/proc/self/status")) -> float:
    """The largest resident size of this process. ``getrusage`` would tell its parent's, if that is larger."""
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise CatseyeError(f"{status} does not tell the peak of memory")


def _gpu_free_mib() -> float | None:
    from catseye.runtime.cuda import call, device_count, load_cuda

    if device_count() == 0:
        return None
    return float(call(load_cuda().cudaMemGetInfo)) / 2**20


if __name__ == "__main__":
    print(main(json.loads(sys.argv[1])).model_dump_json())
