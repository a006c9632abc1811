"""Detector to bundle: the graph, the proof that it is the trained network, and the signature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

from catseye.capture.geometry import ColorMatrix
from catseye.export.calibration_frames import calibration_inputs
from catseye.export.gate import Budget
from catseye.export.golden import golden_inputs, proof_fragment
from catseye.export.graph import DeployedGraph
from catseye.export.held_out import HeldOut, held_out_pictures, read_held_out
from catseye.export.lower_precisions import lower_precisions
from catseye.export.onnx_export import export_onnx
from catseye.export.parity import prove_parity, reference_outputs
from catseye.export.precision_gate import open_gate, require_trained_figures
from catseye.export.precisions import require_precisions
from catseye.export.proven_bundle import proof_frames, require_bundle_options, write_proven_bundle
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detector import load_detector
from catseye.progress import Progress, silent
from catseye.runtime.bundle import Bundle
from catseye.runtime.distance import CUES
from catseye.runtime.engines.base import InputLayout
from catseye.runtime.manifest import Colour, DepthOutput, Manifest, Network, Provenance, Tolerances
from catseye.runtime.network_input import first_frames, frame_count
from catseye.version import __version__


def export(
    run: str | Path,
    out: str | Path,
    *,
    precisions: Sequence[str] = ("fp32", "fp16"),
    calibration: Sequence[str | Path] = (),
    float_nodes: Collection[str] = (),
    top_k: int = 100,
    input: InputLayout = "rgb8",
    matrix: ColorMatrix = "bt709",
    full_range: bool = False,
    batch: int = 1,
    videos: Sequence[str | Path] = (),
    score_threshold: float | None = None,
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
        input: how frames enter the graph: ``rgb8``, or ``nv12`` planes, which it makes RGB of by itself.
        matrix, full_range: of those planes. Give what the vehicle's cameras stream: others are converted.
        batch: frames a call.
        videos: footage whose frames become the proof's inputs; those of ``calibration`` do where there is
            none, or else noise.
        score_threshold: score from which a detection is worth showing; None takes what served F1 best on the
            stills that the run was measured on.
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
    require_bundle_options(
        out, top_k=top_k, score_threshold=score_threshold, videos=videos, batch=batch, input=input
    )
    wanted = require_precisions(precisions, calibrated=bool(calibration))
    steps = 5
    progress("loading the run", 0, steps)
    detector, info = load_detector(run)
    colour = Colour(matrix=matrix, full_range=full_range) if input == "nv12" else None
    network = Network(width=info.width, height=info.height, batch=batch, input=input, colour=colour)
    seen = calibration_inputs(calibration, network, seed=seed) if calibration else None
    count = proof_frames(batch)
    if seen is not None and frame_count(seen) >= count and not videos:
        inputs = first_frames(seen, count)
    else:
        inputs = golden_inputs([Path(video) for video in videos], network, count=count, seed=seed)
    progress("running the trained network", 1, steps)
    reference = reference_outputs(detector, inputs, top_k=top_k, colour=colour)
    tolerances = Tolerances()
    progress("exporting to ONNX", 2, steps)
    exported = export_onnx(DeployedGraph(detector, top_k=top_k, colour=colour), network)
    progress("proving parity", 3, steps)
    parity, golden = prove_parity(reference, exported, inputs, network=network, tolerances=tolerances)
    fragment = proof_fragment(network)
    manifest = Manifest(
        name=out.stem,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=info.classes,
        network=network,
        top_k=golden.scores.shape[1],
        embedding_dim=reference.embeddings.shape[2],
        depth_shape=(reference.depth.shape[1], reference.depth.shape[2]),
        depth=_depth(info, reference.depth.shape),
        cues=tuple(name for name in CUES if name != "depth" or info.depth is not None),
        score_threshold=info.score_threshold if score_threshold is None else score_threshold,
        proof_frames=frame_count(inputs),
        fragment_frames=frame_count(fragment[1]),
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
    made = lower_precisions(
        exported,
        wanted,
        seen=inputs if seen is None else seen,
        proof=(inputs, golden),
        manifest=manifest,
        float_nodes=float_nodes,
        gate=gate,
        progress=progress,
    )
    progress("signing", 4, steps)
    bundle = write_proven_bundle(
        out,
        manifest,
        made=made,
        inputs=inputs,
        fragment=fragment,
        golden=golden,
        parity=parity.document(),
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
