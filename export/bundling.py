"""Detector to bundle: the graph, the proof that it is the trained network, and the signature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from catseye.export.golden import golden_frames, proof_fragment
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.export.parity import prove_parity, reference_outputs
from catseye.export.proven_bundle import BATCH, PROOF_FRAMES, require_bundle_options, write_proven_bundle
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detector import load_detector
from catseye.progress import Progress, silent
from catseye.runtime.bundle import (
    Bundle,
    DepthOutput,
    Manifest,
    Network,
    Provenance,
    Tolerances,
)
from catseye.runtime.distance import CUES
from catseye.version import __version__


def export(
    run: str | Path,
    out: str | Path,
    *,
    top_k: int = 100,
    videos: Sequence[str | Path] = (),
    score_threshold: float = 0.3,
    seed: int = 0,
    progress: Progress = silent,
) -> Bundle:
    """Export a finished fine-tuning run as one signed bundle and read it back.

    Args:
        run: folder of the run.
        out: file to write, ``NAME.catseye``; replaced only by a bundle that holds its proof.
        top_k: detections a frame; no more than the network has cells.
        videos: footage whose frames become the proof's inputs; noise does where there is none.
        score_threshold: score from which a detection is worth showing.
        seed: of that noise.
        progress: told of each step.

    Raises:
        UsageError: an option cannot be.
        InputError: the run or a video cannot be read.
        CatseyeError: the network cannot be exported, or what was exported differs from it.
    """
    out = Path(out)
    require_bundle_options(out, top_k=top_k, score_threshold=score_threshold, videos=videos)
    steps = 5
    progress("loading the run", 0, steps)
    detector, info = load_detector(run)
    size = {"width": info.width, "height": info.height}
    frames = golden_frames(
        [Path(video) for video in videos],
        count=PROOF_FRAMES,
        width=info.width,
        height=info.height,
        seed=seed,
    )
    progress("running the trained network", 1, steps)
    reference = reference_outputs(detector, frames, top_k=top_k)
    tolerances = Tolerances()
    progress("exporting to ONNX", 2, steps)
    exported = export_onnx(DeployedGraph(detector, top_k=top_k), batch=BATCH, **size)
    progress("proving parity", 3, steps)
    parity, golden = prove_parity(reference, exported, frames, batch=BATCH, tolerances=tolerances)
    progress("signing", 4, steps)
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
    bundle = write_proven_bundle(
        out,
        manifest,
        graph=exported.deployed,
        frames=frames,
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
