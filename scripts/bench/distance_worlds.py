"""Boxes of rendered drives with true distances, measured by any cues; and what fits the cues' errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from distance_figures import Float, Measured, figures_of
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox, letterbox, planes_to_network
from catseye.capture.rendering import load_truth
from catseye.capture.sources import VideoFile
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.probes import load_pretext
from catseye.pretrain.tasks.depth import Depth, canonical_depth
from catseye.runtime.distance import CueName, Ranger
from catseye.runtime.manifest import DepthOutput
from catseye.runtime.ranging.errors import ERRORS, BoxErrors, CueErrors
from catseye.runtime.ranging.known_sizes import Shapes

SEEN = 0.4
"""Least visible part of a vehicle that is measured."""
RENDERED = replace(ERRORS, mount_rad=0.0, nod_rad=0.0026, bend=0.0, tilt=0.0)
"""Errors of the cues on rendered worlds: their roads are a level plane, calibrations give the mean pitch, and
cameras nod by no more than that, as ``fit_errors`` finds it."""


@dataclass(frozen=True)
class Sample:
    """One frame: boxes (N, 4) in network pixels, classes (N,), the true distances, and a depth map."""

    time_s: float
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    true_m: Float
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Stream:
    """One camera's drive."""

    calibration: Calibration
    box: Letterbox
    samples: tuple[Sample, ...]


def read_world(folder: Path, *, width: int, height: int, run: Path | None = None) -> list[Stream]:
    """All drives of a rendered folder as a network of that size would see them, with a run's depth maps."""
    network = load_pretext(run)[0].eval() if run is not None else None
    streams = []
    for path in sorted(folder.glob("*.truth.npz")):
        truth = load_truth(path)
        base = path.with_name(path.name.removesuffix(".truth.npz"))
        calibration = Calibration.load(base.with_name(base.name + ".calibration.json"))
        box = letterbox(calibration.width, calibration.height, width, height)
        maps = _depth_maps(network, base.with_name(base.name + ".mp4"), box) if network is not None else None
        samples = []
        for frame in range(len(truth)):
            rows = (truth.frame_index == frame) & (truth.visibility >= SEEN)
            samples.append(
                Sample(
                    time_s=float(truth.pts[frame]) / 90_000,
                    boxes=box.boxes_to_network(truth.boxes[rows]),
                    classes=truth.classes[rows],
                    true_m=truth.distances_m[rows].astype(np.float64),
                    depth=None if maps is None else maps[frame],
                )
            )
        streams.append(Stream(calibration, box, tuple(samples)))
    return streams


@torch.no_grad()
def _depth_maps(network: torch.nn.Module, video: Path, box: Letterbox) -> list[NDArray[np.float32]]:
    """Canonical depth (h, w) of each frame."""
    task = network.task("depth")
    assert isinstance(task, Depth)
    with VideoFile(video, threads=1) as file:
        frames = [planes_to_network(frame.planes, box) for frame in file.frames()]
    inverse = task.decoder(network.encode(to_rgb(np.stack(frames)))).inverses[0]
    return list(canonical_depth(inverse)[:, 0].numpy())


def as_detected(streams: Sequence[Stream], edges: BoxErrors, *, hide: bool = False) -> list[Stream]:
    """The same with edges as a detector places them, drawn at random, the same each time.

    Args:
        hide: leave of each box only what no nearer vehicle covers from below, as detectors mostly do.
    """
    rng = np.random.default_rng(0)

    def changed(sample: Sample) -> Sample:
        boxes = uncovered(sample.boxes, sample.true_m) if hide else sample.boxes
        error = np.sqrt(edges.variance(boxes[:, 3] - boxes[:, 1]))
        moved = boxes + rng.normal(size=boxes.shape) * error[:, None]
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        return replace(sample, boxes=moved.astype(np.float32))

    return [replace(stream, samples=tuple(changed(each) for each in stream.samples)) for stream in streams]


def uncovered(boxes: NDArray[np.float32], true_m: Float) -> NDArray[np.float32]:
    """Boxes (N, 4) that end where a nearer one begins that covers more than half of their width."""
    seen = boxes.copy()
    for row, (left, top, right, bottom) in enumerate(boxes):
        shared = np.minimum(right, boxes[:, 2]) - np.maximum(left, boxes[:, 0])
        hiding = (true_m < true_m[row]) & (shared > 0.5 * (right - left))
        hiding &= (boxes[:, 1] > top + 0.2 * (bottom - top)) & (boxes[:, 3] >= bottom)
        seen[row, 3] = min(bottom, boxes[hiding, 1].min(initial=bottom))
    return seen


def measure(
    streams: Sequence[Stream],
    *,
    errors: CueErrors,
    cues: Sequence[CueName],
    shapes: Sequence[Shapes],
    depth: DepthOutput | None = None,
    one_class: bool = False,
    height_known: bool = True,
) -> Measured:
    """Every box's distance, by a new ``Ranger`` for each stream.

    Args:
        one_class: all boxes are of class 0.
        height_known: whether the calibration tells the camera's height and pitch.
    """
    found: list[tuple[Float, NDArray[np.float32], NDArray[np.float32]]] = []
    for stream in streams:
        calibration = stream.calibration
        if not height_known:
            calibration = calibration.model_copy(update={"height_m": None, "pitch_rad": None})
        ranger = Ranger(
            depth=depth, calibration=calibration, box=stream.box, shapes=shapes, cues=cues, errors=errors
        )
        for sample in stream.samples:
            classes = np.zeros_like(sample.classes) if one_class else sample.classes
            told = ranger.measure(sample.depth, sample.boxes, classes, time_s=sample.time_s)
            found.append((sample.true_m, told.metres, told.sigma_m))
    true, metres, sigma = (np.concatenate(column).astype(np.float64) for column in zip(*found, strict=True))
    return Measured(true, metres, sigma)


def fit_errors(
    streams: Sequence[Stream],
    start: CueErrors,
    shapes: Sequence[Shapes],
    *,
    depth: DepthOutput | None = None,
    hidden: BoxErrors | None = None,
) -> CueErrors:
    """The errors under which the true distances are likeliest, each cue by itself.

    Args:
        depth: what depth maps mean, where their errors are to be fitted and not those of the ground.
        hidden: with edges so far off and hidden parts left out, the error of sizes that are cut is fitted.
    """
    fitted = start
    used: tuple[CueName, ...] = ("ground",) if depth is None else ("depth",)
    for factors in (np.geomspace(0.3, 3, 5), np.geomspace(0.75, 1.33, 5), np.geomspace(0.9, 1.1, 5)):
        for name in ("nod_rad", "ground") if depth is None else ("depth_near_px", "depth", "depth_px"):
            values = [(getattr(fitted, name) or 3.0) * factor for factor in factors]
            fitted = _likeliest(streams, fitted, name, values, used, shapes, depth)
    if hidden is not None:
        left, seen = replace(fitted, edges=hidden), as_detected(streams, hidden, hide=True)
        values = np.arange(0.1, 0.75, 0.05).tolist()
        cut = _likeliest(seen, left, "cut", values, ("ground", "size"), shapes, None).cut
        fitted = replace(fitted, cut=cut)
    return fitted


def _likeliest(
    streams: Sequence[Stream],
    errors: CueErrors,
    name: str,
    values: Sequence[float],
    cues: tuple[CueName, ...],
    shapes: Sequence[Shapes],
    depth: DepthOutput | None,
) -> CueErrors:
    def unlikely(candidate: CueErrors) -> float:
        figures = figures_of(measure(streams, errors=candidate, cues=cues, shapes=shapes, depth=depth))
        return np.inf if figures is None else figures.nll

    return min((replace(errors, **{name: float(value)}) for value in values), key=unlikely)
