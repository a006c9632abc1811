"""What every bundle is made with, whatever its network: checked options, and graph and proof in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catseye.errors import UsageError
from catseye.export.lower_precisions import PrecisionSet
from catseye.runtime.bundle import Bundle, open_bundle, write_bundle
from catseye.runtime.bundle_entries import FRAGMENT, PARITY, array_entry, fragment_entry
from catseye.runtime.engines.base import INPUT_NAMES, EngineOutput, Inputs
from catseye.runtime.manifest import MAX_BATCH, Manifest
from catseye.runtime.npy import dump_array

SUFFIX = ".catseye"
PROOF_FRAMES = 4

_MOST_DETECTIONS = 3840  # what TensorRT's TopK takes


def require_bundle_options(
    out: Path,
    *,
    top_k: int | None,
    score_threshold: float | None,
    videos: Sequence[str | Path],
    batch: int = 1,
    input: str = "rgb8",
) -> None:
    """Refuse what no bundle can be made with; a ``top_k`` of None is still to be decided.

    Raises:
        UsageError: an option cannot be.
    """
    if out.suffix != SUFFIX or out.is_dir():
        raise UsageError(f"out is {out}: name a file that ends in {SUFFIX}")
    if top_k is not None and not 1 <= top_k <= _MOST_DETECTIONS:
        raise UsageError(f"top_k is {top_k}: give 1 to {_MOST_DETECTIONS}")
    if score_threshold is not None and not 0 <= score_threshold <= 1:
        raise UsageError(f"score_threshold is {score_threshold}: give 0 to 1")
    if input not in INPUT_NAMES:
        raise UsageError(f"input is {input!r}: choose from {', '.join(INPUT_NAMES)}")
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"batch is {batch}: give 1 to {MAX_BATCH}")
    if len(videos) > PROOF_FRAMES:
        raise UsageError(f"{len(videos)} videos are given: the proof takes frames of {PROOF_FRAMES} at most")


def proof_frames(batch: int) -> int:
    """How many golden frames: batches that are full, and, where that says anything, one that is not."""
    return PROOF_FRAMES if batch == 1 else max(PROOF_FRAMES, batch) + 1


def write_proven_bundle(
    out: Path,
    manifest: Manifest,
    *,
    made: PrecisionSet,
    inputs: Inputs,
    fragment: tuple[bytes, Inputs],
    golden: EngineOutput,
    parity: Mapping[str, Any],
) -> Bundle:
    """Write graphs with their proof, sign them, and read it all back.

    Args:
        made: the graphs, and what is to be said of them.
        inputs: golden ones, whose outputs are ``golden``.
        fragment: a short video, and its frames as network input.
        parity: how the graphs were held to what it was made of, as JSON types.
    """
    video, video_frames = fragment
    precisions = {name: verdict.model_dump() for name, verdict in made.verdicts.items()}
    manifest = manifest.model_copy(
        update={
            "precisions": tuple(made.graphs),
            "agreements": made.agreements,
            "verdicts": made.verdicts,
        }
    )
    entries = {
        **{f"{precision}.onnx": graph for precision, graph in made.graphs.items()},
        **{array_entry(name): dump_array(array) for name, array in inputs.items()},
        FRAGMENT: video,
        **{fragment_entry(name): dump_array(array) for name, array in video_frames.items()},
        PARITY: json.dumps({**parity, "precisions": precisions}, indent=2, sort_keys=True).encode(),
        **{array_entry(name): dump_array(array) for name, array in golden.arrays().items()},
    }
    write_bundle(out, manifest, entries)
    return open_bundle(out)
