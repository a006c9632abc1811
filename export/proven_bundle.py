"""What every bundle is made with, whatever its network: checked options, and graph and proof in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catseye.capture.geometry import Image
from catseye.errors import UsageError
from catseye.runtime.bundle import (
    FRAGMENT,
    FRAGMENT_FRAMES,
    FRAMES,
    PARITY,
    Bundle,
    Manifest,
    dump_array,
    open_bundle,
    write_bundle,
)
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.precision import Precision

SUFFIX = ".catseye"
PROOF_FRAMES = 4
BATCH = 1

_MOST_DETECTIONS = 3840  # what TensorRT's TopK takes


def require_bundle_options(
    out: Path, *, top_k: int | None, score_threshold: float, videos: Sequence[str | Path]
) -> None:
    """Refuse what no bundle can be made with; a ``top_k`` of None is still to be decided.

    Raises:
        UsageError: an option cannot be.
    """
    if out.suffix != SUFFIX or out.is_dir():
        raise UsageError(f"out is {out}: name a file that ends in {SUFFIX}")
    if top_k is not None and not 1 <= top_k <= _MOST_DETECTIONS:
        raise UsageError(f"top_k is {top_k}: give 1 to {_MOST_DETECTIONS}")
    if not 0 <= score_threshold <= 1:
        raise UsageError(f"score_threshold is {score_threshold}: give 0 to 1")
    if len(videos) > PROOF_FRAMES:
        raise UsageError(f"{len(videos)} videos are given: the proof takes frames of {PROOF_FRAMES} at most")


def write_proven_bundle(
    out: Path,
    manifest: Manifest,
    *,
    graphs: Mapping[Precision, bytes],
    frames: Image,
    fragment: tuple[bytes, Image],
    golden: EngineOutput,
    parity: Mapping[str, Any],
) -> Bundle:
    """Write graphs with their proof, sign them, and read it all back.

    Args:
        graphs: by precision, float32 among them.
        frames: golden inputs (F, H, W, 3) uint8, whose outputs are ``golden``.
        fragment: a short video, and its frames as network input.
        parity: how the graphs were held to what it was made of, as JSON types.
    """
    video, video_frames = fragment
    entries = {
        **{f"{precision}.onnx": graph for precision, graph in graphs.items()},
        FRAMES: dump_array(frames),
        FRAGMENT: video,
        FRAGMENT_FRAMES: dump_array(video_frames),
        PARITY: json.dumps(parity, indent=2, sort_keys=True).encode(),
        **{f"proof/{name}.npy": dump_array(array) for name, array in golden.arrays().items()},
    }
    write_bundle(out, manifest, entries)
    return open_bundle(out)
