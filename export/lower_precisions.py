"""A bundle's graphs below float32: converted, held to proof and gate, taken in or left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from catseye.export.onnx_export import ExportedGraph
from catseye.export.precision_gate import Gate, search_precision, with_task_figures
from catseye.export.precisions import Ranges, convert, measured
from catseye.progress import Progress, silent
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.manifest import Agreement, Manifest, Verdict
from catseye.runtime.precision import Precision


@dataclass(frozen=True)
class PrecisionSet:
    """What a bundle has of precisions.

    Args:
        graphs: serialised ONNX of those in it, float32 first.
        agreements: how exact a replay of each lower one must be.
        verdicts: on all that were asked for, and on float32 where a gate measured it.
    """

    graphs: dict[Precision, bytes]
    agreements: dict[Precision, Agreement] = field(default_factory=dict)
    verdicts: dict[Precision, Verdict] = field(default_factory=dict)


def lower_precisions(
    exported: ExportedGraph,
    wanted: Sequence[Precision],
    *,
    seen: Inputs,
    proof: tuple[Inputs, EngineOutput],
    manifest: Manifest,
    float_nodes: Collection[str] = (),
    gate: Gate | None = None,
    progress: Progress = silent,
) -> PrecisionSet:
    """Convert the float32 graph to each precision that is wanted.

    Args:
        seen: frames on which activations are measured.
        proof: golden inputs, and what the trained network gives for them.
        manifest: of the bundle to be.
        float_nodes: names of nodes that int8 leaves in float32.
        gate: held-out frames and the budget; with it layers go back to float until the budget is kept.

    Raises:
        UsageError: a name in ``float_nodes`` is no node's.
    """
    batch = manifest.network.batch
    made = PrecisionSet({"fp32": exported.deployed})
    ranges = Ranges(exported.deployed, seen, batch=batch)
    if gate is not None:
        made.verdicts["fp32"] = gate.verdict()
    lower = [precision for precision in wanted if precision != "fp32"]
    for done, precision in enumerate(lower):
        progress(f"converting to {precision}", done, len(lower))
        kept = frozenset(float_nodes if precision == "int8" else ())
        if gate is None:
            search = None
            graph = convert(exported.deployed, precision, ranges, float_nodes=kept)
        else:
            search = search_precision(gate, exported, precision, ranges, float_nodes=kept, progress=progress)
            graph = search.best.graph
        found = measured(graph, *proof, precision=precision, batch=batch, threshold=manifest.score_threshold)
        verdict = made.verdicts[precision] = with_task_figures(found.verdict(), search)
        if verdict.accepted:
            made.graphs[precision], made.agreements[precision] = graph, found.limits
    return made
