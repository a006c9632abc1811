"""A lower precision on its way into a bundle: converted, measured, layers moved back to float if need be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from catseye.capture.geometry import Image
from catseye.errors import CatseyeError
from catseye.export.back_to_float import FloatSearch, back_to_float
from catseye.export.gate import Budget, Judgement, judge
from catseye.export.held_out import HeldOutFrames
from catseye.export.onnx_export import ExportedGraph
from catseye.export.precisions import Ranges, convert
from catseye.export.quantise import quantisable_layers
from catseye.export.sensitivity import layer_sensitivity
from catseye.export.task_figures import TaskFigures, Watched, figures_of, task_figures, watch
from catseye.pretrain.detection_metrics import average_precision
from catseye.pretrain.detector import Detector
from catseye.pretrain.prediction import predict
from catseye.progress import Progress, silent
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Manifest, Verdict
from catseye.runtime.network_input import first_frames
from catseye.runtime.precision import Precision

MOST_FLOAT = 0.5
"""The share of layers in float from which int8 is given up: it would gain too little."""

_SENSITIVITY_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Gate:
    """What precisions are held to.

    Args:
        manifest: of the bundle to be.
        frames: that were kept out of training.
        reference: what the float32 graph gives for them, and ``figures`` how good that is.
        budget: what may be lost of it.
        threads: cores that one call may use; 0 takes all.
    """

    manifest: Manifest
    frames: HeldOutFrames
    reference: Watched
    figures: TaskFigures
    budget: Budget
    threads: int = 0

    def measure(self, graph: bytes, precision: Precision, *, progress: Progress = silent) -> TaskFigures:
        """The figures of a graph on ONNX Runtime."""
        engine = OnnxRuntimeEngine(graph, precision=precision, threads=self.threads)
        found = task_figures(engine, self.manifest, self.frames, reference=self.reference, progress=progress)
        engine.close()
        return found

    def verdict(self) -> Verdict:
        """What the bundle says of float32."""
        return Verdict(
            accepted=True,
            reason="what the others are held to",
            figures={**self.figures.values, **self.figures.counts},
        )

    def judge(self, figures: TaskFigures) -> Judgement:
        """Hold figures to those of float32."""
        return judge(self.figures, figures, self.budget)


def open_gate(
    graph: bytes,
    manifest: Manifest,
    frames: HeldOutFrames,
    budget: Budget,
    *,
    threads: int = 0,
    progress: Progress = silent,
) -> Gate:
    """Measure the float32 graph that all others are held to."""
    engine = OnnxRuntimeEngine(graph, threads=threads)
    reference = watch(engine, manifest, frames, progress=progress)
    engine.close()
    return Gate(manifest, frames, reference, figures_of(reference, manifest, frames), budget, threads)


def require_trained_figures(gate: Gate, detector: Detector, pictures: Iterable[Image], *, top_k: int) -> None:
    """Hold the float32 graph to what the trained network finds in the very pictures, by the way that training
    has them: all that lies between a picture and a box in it is proven, not the graph alone.

    Args:
        pictures: the held-out stills (H, W, 3) uint8 as they were read.

    Raises:
        CatseyeError: the graph, or what its manifest says of its input, loses more than the budget.
    """
    size = {"width": gate.manifest.network.width, "height": gate.manifest.network.height}
    found = [predict(detector, rgb, top_k=top_k, **size) for rgb in pictures]
    trained = TaskFigures(average_precision(found, [still.truth for still in gate.frames.stills]))
    judgement = judge(trained, gate.figures, gate.budget)
    if not judgement:
        raise CatseyeError(
            f"the exported graph does not find what the trained network finds: {judgement.reason}; "
            "nothing was written"
        )


def with_task_figures(coarse: Verdict, search: FloatSearch | None) -> Verdict:
    """What the bundle says of a precision: how its replay of the proof did, and how held-out frames, or that
    there were none."""
    if search is None:
        return coarse.model_copy(update={"reason": f"{coarse.reason}; no task metric was measured"})
    figures = {
        **coarse.figures,
        **search.best.figures.values,
        **{f"{name}_loss": loss for name, loss in search.best.judgement.losses.items()},
        **search.best.figures.counts,
        "float_layers": len(search.best.moved),
    }
    reason = search.reason if coarse.accepted else f"{coarse.reason}; {search.reason}"
    return Verdict(accepted=coarse.accepted and bool(search), reason=reason, figures=figures)


def search_precision(
    gate: Gate,
    exported: ExportedGraph,
    precision: Precision,
    ranges: Ranges,
    *,
    float_nodes: Collection[str] = (),
    progress: Progress = silent,
) -> FloatSearch:
    """Convert a graph to fp16 or int8 with as few layers in float as the budget takes.

    Args:
        ranges: of its activations.
        float_nodes: names of nodes that stay float in any case.
    """
    batch = gate.manifest.network.batch
    layers = [name for name in quantisable_layers(exported.deployed) if name not in float_nodes]

    def make(moved: Sequence[str]) -> bytes:
        kept = frozenset((*float_nodes, *moved))
        return convert(exported.deployed, precision, ranges, float_nodes=kept)

    def order() -> list[str]:
        # What rounding to eight bits does to a layer tells the order for eleven bits too.
        noise = layer_sensitivity(
            exported.with_heads,
            ranges.cut,
            first_frames(ranges.frames, batch * max(1, _SENSITIVITY_FRAMES // batch)),
            heads=exported.heads if gate.manifest.depth is None else (*exported.heads, "depth"),
            batch=batch,
            threads=gate.threads,
            progress=progress,
        )
        return [layer for layer in noise if layer in layers]

    return back_to_float(
        order,
        make=make,
        measure=lambda graph: gate.measure(graph, precision),
        judge=gate.judge,
        most=int(MOST_FLOAT * len(layers)),
        progress=progress,
    )
