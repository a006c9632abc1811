"""Rendering a world of clips into a folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from math import isfinite
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from catseye.capture.rendering.clip import Clip, ClipSpec
from catseye.capture.rendering.labels import IMAGES_FOLDER, LABELS_FILE, still_name, write_labels, write_still
from catseye.capture.rendering.look import PALETTES, Appearance
from catseye.capture.rendering.truth import load_truth
from catseye.capture.writer import VideoWriter
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import write_json, write_text
from catseye.progress import Progress, silent

PARAMETERS_FILE = "synth.json"

_RENDERER = 1
"""Counts changes to what a seed looks like; worlds of another count are rendered anew."""

_TIME_BASE = Fraction(1, 90_000)
_CRF = 20
_KEY_EVERY_S = 2.0


def synth(
    out: Path,
    *,
    seed: int = 0,
    clips: int = 8,
    duration_s: float = 8.0,
    fps: float = 12.5,
    width: int = 320,
    height: int = 192,
    appearance: Appearance = "train",
    label_every: int = 10,
    jobs: int = 0,
    progress: Progress = silent,
) -> Path:
    """Render a road world: drives through traffic, with all that is true of them.

    For each clip ``road-s<seed>-<number>`` it writes ``.mp4`` (H.264), ``.calibration.json``,
    ``.telemetry.csv`` (``time_s`` on the video's clock, ``speed_mps``) and ``.truth.npz`` (``load_truth``);
    of every ``label_every``-th frame a JPEG in ``images/`` with its boxes in ``instances_coco.json``.

    The same arguments give the same pixels and the same truth, whatever ``jobs`` is. Complete clips of the
    same arguments are kept, so that a call goes on where another was cut off; a folder rendered with other
    arguments is rendered anew.

    Args:
        out: the folder to fill.
        seed: 0 or more; worlds of different seeds share no clip.
        duration_s: of each clip, at least two frames.
        width, height: even, in pixels.
        appearance: ``heldout`` draws colours, textures and vehicle shapes that ``train`` never shows.
        jobs: processes; 0 takes a core each.

    Returns:
        ``out``.

    Raises:
        UsageError: an option has a value that cannot be.
        InputError: ``out`` is a file.
    """
    _validate(seed, clips, duration_s, fps, (width, height), appearance, label_every, jobs)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(out, "is a file, not a folder", "name a folder to render into")
    frames = round(duration_s * fps)
    specs = [ClipSpec(seed, number, frames, fps, width, height, appearance) for number in range(clips)]
    _settle(out, specs, label_every)
    waiting = [spec for spec in specs if not _complete(out, spec, label_every)]
    done = clips - len(waiting)
    progress("rendering", done, clips)
    for _ in _each(out, waiting, label_every, jobs):
        done += 1
        progress("rendering", done, clips)
    truths = ((spec.name, load_truth(_file(out, spec, "truth.npz"))) for spec in specs)
    write_labels(out / LABELS_FILE, truths, every=label_every, size=(width, height))
    return out


def _validate(
    seed: int,
    clips: int,
    duration_s: float,
    fps: float,
    size: tuple[int, int],
    appearance: str,
    label_every: int,
    jobs: int,
) -> None:
    if seed < 0:
        raise UsageError(f"seed {seed}: must be 0 or more")
    if not 1 <= clips <= 1000:
        raise UsageError(f"clips {clips}: must be 1 to 1000")
    if not (isfinite(fps) and 1 <= fps <= 120):
        raise UsageError(f"fps {fps}: must be 1 to 120")
    if not (isfinite(duration_s) and duration_s <= 600 and round(duration_s * fps) >= 2):
        raise UsageError(f"duration {duration_s} s: must be two frames or more, and 600 s at most")
    width, height = size
    if width % 2 or height % 2 or not 64 <= width <= 4096 or not 32 <= height <= 4096:
        raise UsageError(f"size {width}x{height}: must be even, from 64x32 to 4096x4096")
    if appearance not in PALETTES:
        raise UsageError(f"appearance {appearance!r}: must be one of {', '.join(PALETTES)}")
    if label_every < 1:
        raise UsageError(f"label_every {label_every}: must be 1 or more")
    if jobs < 0:
        raise UsageError(f"jobs {jobs}: must be 0 (all cores) or more")


def _file(out: Path, spec: ClipSpec, suffix: str) -> Path:
    return out / f"{spec.name}.{suffix}"


def _files(out: Path, spec: ClipSpec, label_every: int) -> list[Path]:
    """All files of a clip, the one that is written last at the end."""
    stills = [out / IMAGES_FOLDER / still_name(spec.name, k) for k in range(0, spec.frames, label_every)]
    return [
        *stills,
        *(_file(out, spec, s) for s in ("calibration.json", "telemetry.csv", "truth.npz", "mp4")),
    ]


def _complete(out: Path, spec: ClipSpec, label_every: int) -> bool:
    return all(path.is_file() for path in _files(out, spec, label_every))


def _settle(out: Path, specs: Sequence[ClipSpec], label_every: int) -> None:
    """Remove what a call with other arguments left in the folder, and note the arguments of this one."""
    first = specs[0]
    parameters: dict[str, Any] = {
        "renderer": _RENDERER,
        "seed": first.seed,
        "frames": first.frames,
        "fps": first.fps,
        "width": first.width,
        "height": first.height,
        "appearance": first.appearance,
        "label_every": label_every,
    }
    path = out / PARAMETERS_FILE
    try:
        former = json.loads(path.read_text())
    except (OSError, ValueError):
        former = None
    wanted = {file.name for spec in specs for file in _files(out, spec, label_every)}
    for file in [*out.glob("road-s*-*.*"), *(out / IMAGES_FOLDER).glob("road-s*-*.jpg")]:
        if former != parameters or file.name not in wanted:
            file.unlink()
    if former != parameters:
        write_json(path, parameters)


def _each(out: Path, specs: Sequence[ClipSpec], label_every: int, jobs: int) -> Iterator[str]:
    """Render clips, yielding the name of each when it is done."""
    workers = min(jobs or os.cpu_count() or 1, len(specs))
    if workers <= 1:
        for spec in specs:
            yield _render(out, spec, label_every)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        futures = [pool.submit(_render, out, spec, label_every) for spec in specs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise CatseyeError(
                "a rendering process was killed, perhaps for want of memory; try fewer jobs"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """A process that gives work and is killed tells nobody, and these would wait for more for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _render(out: Path, spec: ClipSpec, label_every: int) -> str:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        _render_clip(out, spec, label_every)
    finally:
        cv2.setNumThreads(threads)
    return spec.name


def _render_clip(out: Path, spec: ClipSpec, label_every: int) -> None:
    clip = Clip(spec)
    ticks = 1 / (_TIME_BASE * Fraction(spec.fps))
    pts = np.array([round(k * ticks) for k in range(spec.frames)], np.int64)
    clip.world.camera.calibration(spec.name).save(_file(out, spec, "calibration.json"))
    gop = max(1, round(_KEY_EVERY_S * spec.fps))
    with VideoWriter(
        _file(out, spec, "mp4"), width=spec.width, height=spec.height, time_base=_TIME_BASE, gop=gop, crf=_CRF
    ) as video:
        for number, rgb in enumerate(clip.frames()):
            video.write_rgb(rgb, pts=int(pts[number]))
            if number % label_every == 0:
                write_still(out / IMAGES_FOLDER / still_name(spec.name, number), rgb)
        truth = clip.truth(pts)
        truth.save(_file(out, spec, "truth.npz"))
        rows = zip((pts * float(_TIME_BASE)).tolist(), truth.speed_mps.tolist(), strict=True)
        lines = "".join(f"{time:.6f},{speed:.4f}\n" for time, speed in rows)
        write_text(_file(out, spec, "telemetry.csv"), "time_s,speed_mps\n" + lines)
