"""Detector to bundle: the graph, the proof that it is the trained network, and the signature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

from catseye.export.calibration_frames import calibration_frames, whole_batches
from catseye.export.gate import Budget
from catseye.export.golden import golden_frames, proof_fragment
from catseye.export.graph import DeployedGraph
from catseye.export.held_out import HeldOut, held_out_pictures, read_held_out
from catseye.export.onnx_export import export_onnx
from catseye.export.parity import prove_parity, reference_outputs
from catseye.export.precision_gate import (
    open_gate,
    require_trained_figures,
    search_precision,
    with_task_figures,
)
from catseye.export.precisions import convert, measured, require_precisions
from catseye.export.proven_bundle import BATCH, PROOF_FRAMES, require_bundle_options, write_proven_bundle
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detector import load_detector
from catseye.progress import Progress, silent
from catseye.runtime.bundle import (
    Agreement,
    Bundle,
    DepthOutput,
    Manifest,
    Network,
    Provenance,
    Tolerances,
    Verdict,
)
from catseye.runtime.distance import CUES
from catseye.runtime.precision import Precision
from catseye.version import __version__


def export(
    run: str | Path,
    out: str | Path,
    *,
    precisions: Sequence[str] = ("fp32", "fp16"),
    calibration: Sequence[str | Path] = (),
    float_nodes: Collection[str] = (),
    top_k: int = 100,
    videos: Sequence[str | Path] = (),
    score_threshold: float = 0.3,
    held_out: HeldOut | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Bundle:
    """Export a finished fine-tuning run as one signed bundle and read it back.

    Args:
        run: folder of the run.
        out: file to write, ``NAME.catseye``; replaced only by a bundle that holds its proof.
        precisions: of the graphs in it: ``fp32``, which is always there, ``fp16``, ``int8``. One that no
            longer sees what the trained network sees is left out, and the manifest's verdict says why.
        calibration: videos, and folders of videos or pictures, on which the ranges of activations are
            measured; int8 needs it.
        float_nodes: names of nodes that int8 leaves in float32.
        top_k: detections a frame; no more than the network has cells.
        videos: footage whose frames become the proof's inputs; those of ``calibration`` do where there is
            none, or else noise.
        score_threshold: score from which a detection is worth showing.
        held_out: frames kept out of training, on which each precision is held to ``budget``, with as many
            layers back in float as that takes; without them the bundle says that no task metric was measured.
        budget: what a precision may lose; by default as ``Budget`` says.
        seed: of that noise, and of the choice of frames.
        progress: told of each step.

    Raises:
        UsageError: an option cannot be.
        InputError: the run or a video cannot be read.
        CatseyeError: the network cannot be exported, or what was exported differs from it.
    """
    out = Path(out)
    require_bundle_options(out, top_k=top_k, score_threshold=score_threshold, videos=videos)
    wanted = require_precisions(precisions, calibrated=bool(calibration))
    steps = 5 + len(wanted) - 1
    progress("loading the run", 0, steps)
    detector, info = load_detector(run)
    size = {"width": info.width, "height": info.height}
    seen = (
        calibration_frames(calibration, width=info.width, height=info.height, seed=seed)
        if calibration
        else None
    )
    frames = (
        seen[:PROOF_FRAMES]
        if seen is not None and len(seen) >= PROOF_FRAMES and not videos
        else golden_frames(
            [Path(video) for video in videos],
            count=PROOF_FRAMES,
            width=info.width,
            height=info.height,
            seed=seed,
        )
    )
    progress("running the trained network", 1, steps)
    reference = reference_outputs(detector, frames, top_k=top_k)
    tolerances = Tolerances()
    progress("exporting to ONNX", 2, steps)
    exported = export_onnx(DeployedGraph(detector, top_k=top_k), batch=BATCH, **size)
    progress("proving parity", 3, steps)
    parity, golden = prove_parity(reference, exported, frames, batch=BATCH, tolerances=tolerances)
    fragment = proof_fragment(width=info.width, height=info.height)
    manifest = Manifest(
        name=out.stem,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=info.classes,
        network=Network(width=info.width, height=info.height, batch=BATCH),
        top_k=golden.scores.shape[1],
        embedding_dim=reference.embeddings.shape[2],
        depth_shape=(reference.depth.shape[1], reference.depth.shape[2]),
        depth=_depth(info, reference.depth.shape),
        cues=tuple(name for name in CUES if name != "depth" or info.depth is not None),
        score_threshold=score_threshold,
        proof_frames=len(frames),
        fragment_frames=len(fragment[1]),
        tolerances=tolerances,
        provenance=Provenance(
            encoder=info.encoder,
            dataset_fingerprint=info.dataset_fingerprint,
            code_version=__version__,
            metrics=info.metrics,
        ),
    )
    gate = None
    if held_out is not None:
        held_out_frames = read_held_out(held_out, manifest, progress=progress)
        gate = open_gate(exported.deployed, manifest, held_out_frames, budget or Budget(), progress=progress)
        require_trained_figures(gate, detector, held_out_pictures(held_out), top_k=top_k)
    measured_on = frames if seen is None else whole_batches(seen, BATCH)
    graphs: dict[Precision, bytes] = {"fp32": exported.deployed}
    agreements: dict[Precision, Agreement] = {}
    verdicts: dict[Precision, Verdict] = {} if gate is None else {"fp32": gate.verdict()}
    for step, precision in enumerate(wanted[1:], 4):
        progress(f"converting to {precision}", step, steps)
        kept_float = frozenset(float_nodes if precision == "int8" else ())
        search = None
        if gate is not None:
            search = search_precision(
                gate, exported, precision, measured_on, float_nodes=kept_float, progress=progress
            )
            graph = search.best.graph
        else:
            graph = convert(exported.deployed, precision, measured_on, batch=BATCH, float_nodes=kept_float)
        made = measured(graph, frames, golden, precision=precision, batch=BATCH, threshold=score_threshold)
        verdicts[precision] = with_task_figures(made.verdict(), search)
        if verdicts[precision].accepted:
            graphs[precision], agreements[precision] = made.graph, made.limits
    progress("signing", steps - 1, steps)
    bundle = write_proven_bundle(
        out,
        manifest.model_copy(
            update={"precisions": tuple(graphs), "agreements": agreements, "verdicts": verdicts}
        ),
        graphs=graphs,
        frames=frames,
        fragment=fragment,
        golden=golden,
        parity=parity.document()
        | {"precisions": {name: verdict.model_dump() for name, verdict in verdicts.items()}},
    )
    progress("exported", steps, steps)
    return bundle


def _depth(info: CheckpointInfo, shape: tuple[int, ...]) -> DepthOutput | None:
    if info.depth is None:
        return None
    return DepthOutput(
        width=shape[2],
        height=shape[1],
        canonical_focal_px=info.depth.canonical_focal * info.width,
        metric=info.depth.metric,
    )
