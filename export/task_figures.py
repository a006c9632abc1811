"""The task's own metrics of an engine: AP by size, depth error and rank-1, on frames kept out of training.

Numeric parity says that a graph computes nearly the same; these say whether it still does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catseye.export.held_out import HeldOutFrames
from catseye.export.known_again import Sights, known_again
from catseye.pretrain.depth_metrics import depth_figures
from catseye.pretrain.depth_probe import at_true_places
from catseye.pretrain.detection_metrics import (
    Detections,
    Truth,
    average_precision,
    average_precision_where,
)
from catseye.progress import Progress, silent
from catseye.runtime.engines.base import Engine, EngineOutput, Inputs
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import frame_count, stacked
from catseye.runtime.proof import replay
from catseye.runtime.suppression import chosen

PARTS = 10
"""How many parts the stills are cut into, to see how much AP depends on which stills were taken."""

_FROM_DEPTHS = ("depth_absrel", "depth_absrel_raw")


@dataclass(frozen=True)
class TaskFigures:
    """What was measured; what the held-out frames cannot say is absent.

    Args:
        values: ``ap``, ``ap50``, ``ap50_h10`` and ``ap50_h20`` as in ``average_precision``; of depth
            ``depth_absrel``, and where it is metric ``depth_absrel_raw``, against a truth as in
            ``depth_figures``, and ``depth_change``, the mean relative difference from the reference's depth;
            ``rank1`` as in ``known_again``.
        counts: on how many ``stills`` and ``objects``, ``depth_frames``, ``queries``.
        ap50_without: AP50 with each of ``PARTS`` parts of the stills left out; empty for few stills.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    ap50_without: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True, eq=False)
class Watched:
    """What an engine gave for held-out frames: a still a row, and for each clip a frame a row."""

    stills: EngineOutput | None
    clips: tuple[EngineOutput, ...]

    def depths(self) -> list[NDArray[np.float32]]:
        """All depth maps, (F, h, w) each."""
        outputs = [self.stills, *self.clips] if self.stills is not None else list(self.clips)
        return [output.depth for output in outputs if output is not None and output.depth is not None]


def task_figures(
    engine: Engine,
    manifest: Manifest,
    held_out: HeldOutFrames,
    *,
    reference: Watched | None = None,
    progress: Progress = silent,
) -> TaskFigures:
    """Measure an engine.

    Args:
        engine: of the manifest's network, in any precision.
        reference: what ``watch`` says of the engine that this one stands in for: it gives the boxes that are
            to be known again where there is no truth, and the depth that ``depth_change`` is against. None
            where the engine is the reference itself.
    """
    seen = watch(engine, manifest, held_out, progress=progress)
    return figures_of(seen, manifest, held_out, reference=reference)


def watch(
    engine: Engine, manifest: Manifest, held_out: HeldOutFrames, *, progress: Progress = silent
) -> Watched:
    """Run an engine on all held-out frames, a batch at a time."""
    total = len(held_out.stills) + sum(frame_count(clip.frames) for clip in held_out.clips)
    done = 0

    def told(frames: int) -> None:
        nonlocal done
        done += frames
        progress("held-out frames", done, total)

    def run(frames: Inputs) -> EngineOutput:
        return replay(engine, frames, batch=manifest.network.batch, told=told)

    stills = run(stacked([still.frame for still in held_out.stills])) if held_out.stills else None
    return Watched(stills, tuple(run(clip.frames) for clip in held_out.clips))


def figures_of(
    seen: Watched, manifest: Manifest, held_out: HeldOutFrames, *, reference: Watched | None = None
) -> TaskFigures:
    """The figures of what an engine gave, see ``task_figures``."""
    parts = []
    if seen.stills is not None:
        parts.append(_of_stills(seen.stills, manifest, held_out))
    if manifest.depth is not None:
        parts += [_of_depth(seen, manifest, held_out), _of_depth_change(seen, reference)]
    if manifest.embedding_dim is not None and held_out.clips:
        parts.append(_of_embeddings(seen, manifest, held_out, reference or seen))
    return TaskFigures(
        values={name: value for part in parts for name, value in part.values.items()},
        counts={name: count for part in parts for name, count in part.counts.items()},
        ap50_without=next((part.ap50_without for part in parts if part.ap50_without), ()),
    )


def _of_stills(output: EngineOutput, manifest: Manifest, held_out: HeldOutFrames) -> TaskFigures:
    found, truths = [], []
    for row, still in enumerate(held_out.stills):
        here, _ = _detections(output, row, manifest)
        found.append(Detections(still.box.boxes_to_source(here.boxes), here.scores, here.classes))
        truths.append(still.truth)
    objects = sum(int((~truth.ignored).sum()) for truth in truths)
    counts = {"stills": len(found), "objects": objects}
    return TaskFigures(average_precision(found, truths), counts, _ap50_without(found, truths))


def _ap50_without(found: Sequence[Detections], truths: Sequence[Truth]) -> tuple[float, ...]:
    """In parts of neighbours, since neighbours are often of one drive."""
    if len(found) < 2 * PARTS:
        return ()
    rows = np.arange(len(found))
    kept = [np.delete(rows, part).tolist() for part in np.array_split(rows, PARTS)]
    counted = [np.ones(len(each.scores), dtype=np.bool_) for each in found]
    figures = [
        average_precision_where(
            [found[row] for row in some], [truths[row] for row in some], [counted[row] for row in some]
        )
        for some in kept
    ]
    return tuple(figure for figure in figures if figure is not None)


def _of_depth(seen: Watched, manifest: Manifest, held_out: HeldOutFrames) -> TaskFigures:
    assert manifest.depth is not None
    pairs = []
    for clip, output in zip(held_out.clips, seen.clips, strict=True):
        gain = np.float32(clip.focal_px / manifest.depth.canonical_focal_px)
        if clip.depth and output.depth is not None:
            for depth, true in zip(output.depth, clip.depth, strict=True):
                pairs.append(at_true_places(depth * gain, true, clip.box))
    figures = depth_figures(pairs, metric=manifest.depth.metric)
    values = {name: figures[name] for name in _FROM_DEPTHS if name in figures}
    return TaskFigures(values, {"depth_frames": len(pairs)} if values else {})


def _of_depth_change(seen: Watched, reference: Watched | None) -> TaskFigures:
    if reference is None or not seen.depths():
        return TaskFigures()
    pairs = zip(seen.depths(), reference.depths(), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        changes = [np.mean(np.abs(depth - before) / before, axis=(1, 2)) for depth, before in pairs]
    frames = np.concatenate(changes)
    return TaskFigures({"depth_change": float(frames.mean())}, {"compared_depth_frames": len(frames)})


def _of_embeddings(
    seen: Watched, manifest: Manifest, held_out: HeldOutFrames, reference: Watched
) -> TaskFigures:
    threshold = float(np.clip(manifest.score_threshold, 0.01, 0.99))
    found = known_again(
        held_out.clips, _sights(seen, manifest), _sights(reference, manifest), threshold=threshold
    )
    if not found.queries:
        return TaskFigures()
    return TaskFigures({"rank1": found.rank1}, {"queries": found.queries})


def _sights(seen: Watched, manifest: Manifest) -> list[Sights]:
    return [
        [_detections(output, row, manifest) for row in range(len(output.scores))] for output in seen.clips
    ]


def _detections(output: EngineOutput, row: int, manifest: Manifest) -> tuple[Detections, NDArray[np.float32]]:
    """One frame's in network pixels, without doubles, and the descriptors of it, of no length where there are
    none. What is no number counts as not found."""
    boxes, scores = output.boxes[row], output.scores[row]
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    scores = np.where(finite, scores, 0).astype(np.float32)
    slots = chosen(boxes, scores, output.classes[row], least=0, nms_iou=manifest.nms_iou)
    looks = (
        np.empty((len(slots), 0), np.float32) if output.embeddings is None else output.embeddings[row][slots]
    )
    return Detections(boxes[slots], scores[slots], output.classes[row][slots]), looks
