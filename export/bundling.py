"""Detector to bundle: the graph, the proof that it is the trained network, and the signature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from catseye.errors import UsageError
from catseye.export.golden import golden_frames, proof_fragment
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.export.parity import prove_parity, reference_outputs
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detector import load_detector
from catseye.progress import Progress, silent
from catseye.runtime.bundle import (
    FRAGMENT,
    FRAGMENT_FRAMES,
    FRAMES,
    PARITY,
    Bundle,
    DepthOutput,
    Manifest,
    Network,
    Provenance,
    Tolerances,
    dump_array,
    open_bundle,
    write_bundle,
)
from catseye.runtime.distance import CUES
from catseye.runtime.engines.base import OUTPUT_NAMES
from catseye.version import __version__

SUFFIX = ".catseye"

_PROOF_FRAMES = 4
_BATCH = 1
_MOST_DETECTIONS = 3840  # what TensorRT's TopK takes


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
    _validate(out, top_k=top_k, score_threshold=score_threshold, videos=videos)
    steps = 5
    progress("loading the run", 0, steps)
    detector, info = load_detector(run)
    size = {"width": info.width, "height": info.height}
    frames = golden_frames(
        [Path(video) for video in videos],
        count=_PROOF_FRAMES,
        width=info.width,
        height=info.height,
        seed=seed,
    )
    progress("running the trained network", 1, steps)
    reference = reference_outputs(detector, frames, top_k=top_k)
    tolerances = Tolerances()
    progress("exporting to ONNX", 2, steps)
    exported = export_onnx(DeployedGraph(detector, top_k=top_k), batch=_BATCH, **size)
    progress("proving parity", 3, steps)
    parity, golden = prove_parity(reference, exported, frames, batch=_BATCH, tolerances=tolerances)
    progress("signing", 4, steps)
    fragment, fragment_frames = proof_fragment(width=info.width, height=info.height)
    manifest = Manifest(
        name=out.stem,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=info.classes,
        network=Network(width=info.width, height=info.height, batch=_BATCH),
        top_k=golden.scores.shape[1],
        embedding_dim=reference.embeddings.shape[2],
        depth_shape=(reference.depth.shape[1], reference.depth.shape[2]),
        depth=_depth(info, reference.depth.shape),
        cues=tuple(name for name in CUES if name != "depth" or info.depth is not None),
        score_threshold=score_threshold,
        proof_frames=len(frames),
        fragment_frames=len(fragment_frames),
        tolerances=tolerances,
        provenance=Provenance(
            encoder=info.encoder,
            dataset_fingerprint=info.dataset_fingerprint,
            code_version=__version__,
            metrics=info.metrics,
        ),
    )
    entries = {
        "fp32.onnx": exported.deployed,
        FRAMES: dump_array(frames),
        FRAGMENT: fragment,
        FRAGMENT_FRAMES: dump_array(fragment_frames),
        PARITY: json.dumps(parity.document(), indent=2, sort_keys=True).encode(),
        **{f"proof/{name}.npy": dump_array(getattr(golden, name)) for name in OUTPUT_NAMES},
    }
    write_bundle(out, manifest, entries)
    bundle = open_bundle(out)
    progress("exported", steps, steps)
    return bundle


def _validate(out: Path, *, top_k: int, score_threshold: float, videos: Sequence[str | Path]) -> None:
    if out.suffix != SUFFIX or out.is_dir():
        raise UsageError(f"out is {out}: name a file that ends in {SUFFIX}")
    if not 1 <= top_k <= _MOST_DETECTIONS:
        raise UsageError(f"top_k is {top_k}: give 1 to {_MOST_DETECTIONS}")
    if not 0 <= score_threshold <= 1:
        raise UsageError(f"score_threshold is {score_threshold}: give 0 to 1")
    if len(videos) > _PROOF_FRAMES:
        raise UsageError(f"{len(videos)} videos are given: the proof takes frames of {_PROOF_FRAMES} at most")


def _depth(info: CheckpointInfo, shape: tuple[int, ...]) -> DepthOutput | None:
    if info.depth is None:
        return None
    return DepthOutput(
        width=shape[2],
        height=shape[1],
        canonical_focal_px=info.depth.canonical_focal * info.width,
        metric=info.depth.metric,
    )
