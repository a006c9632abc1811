"""Proof that the exported graph computes what the trained network computes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.errors import CatseyeError
from catseye.export.graph import HEAD_NAMES, GraphOutputs
from catseye.export.onnx_export import ExportedGraph
from catseye.pretrain.detector import DenseOutputs, Detector, decode
from catseye.runtime.bundle import Tolerances
from catseye.runtime.engines.base import OUTPUT_NAMES, EngineOutput
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine, make_session, run_session
from catseye.runtime.proof import Check, above_cut, compare_outputs, replay


@dataclass(frozen=True)
class Parity:
    """The trained network against the exported graph on ONNX Runtime.

    Args:
        frames: how many frames were compared.
        detections: how many detections were far enough above the cut to be compared one by one.
        heads: dense outputs before TopK.
        outputs: what an engine returns, after it.
    """

    frames: int
    detections: int
    heads: tuple[Check, ...]
    outputs: tuple[Check, ...]

    def document(self) -> dict[str, Any]:
        """The figures and their limits, for ``proof/parity.json``."""
        return {
            "schema_version": "1.0",
            "reference": f"torch {torch.__version__}",
            "engine": f"onnxruntime {onnxruntime.__version__}",
            "frames": self.frames,
            "detections": self.detections,
            "heads": [asdict(check) for check in self.heads],
            "outputs": [asdict(check) for check in self.outputs],
        }


def reference_outputs(detector: Detector, frames: Image, *, top_k: int) -> GraphOutputs:
    """Run the trained network in PyTorch on frames (F, H, W, 3) uint8, one by one.

    It is written out here and does not go through ``DeployedGraph``, whose faults it would otherwise share.
    """
    with torch.inference_mode():
        parts = []
        for frame in frames:
            rgb = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))[None]).float().div(255)
            dense: DenseOutputs = detector(rgb)
            parts.append(
                GraphOutputs(*decode(dense, top_k), dense.score_logits, dense.boxes, dense.embeddings)
            )
        return GraphOutputs(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def prove_parity(
    reference: GraphOutputs,
    exported: ExportedGraph,
    frames: Image,
    *,
    batch: int,
    tolerances: Tolerances,
    threads: int = 0,
) -> tuple[Parity, EngineOutput]:
    """Hold an exported graph to the trained network; return the figures and the golden outputs.

    Before TopK the largest difference of each head is bound by ``tolerances.relative`` of the head's largest
    magnitude; after it ``compare_outputs`` holds, on the file that is deployed.

    Raises:
        CatseyeError: a figure is beyond its limit.
    """
    golden = EngineOutput(**{name: getattr(reference, name).numpy() for name in OUTPUT_NAMES})
    session = make_session(exported.with_heads, threads=threads)
    runs = [run_session(session, frames[start : start + batch]) for start in range(0, len(frames), batch)]
    heads = tuple(
        _head_check(
            name, getattr(reference, name).numpy(), np.concatenate([run[name] for run in runs]), tolerances
        )
        for name in (*HEAD_NAMES, "depth")
    )
    found = replay(OnnxRuntimeEngine(exported.deployed, threads=threads), frames, batch=batch)
    parity = Parity(
        frames=len(frames),
        detections=int(above_cut(golden.scores, tolerances).sum()),
        heads=heads,
        outputs=tuple(compare_outputs(golden, found, tolerances)),
    )
    for check in (*parity.heads, *parity.outputs):
        if not check:
            raise CatseyeError(
                f"the exported graph differs from the trained network: {check.name} by {check.value:.3g}, "
                f"{check.limit:.3g} at most; nothing was written"
            )
    return parity, golden


def _head_check(
    name: str, golden: NDArray[np.float32], found: NDArray[np.float32], tolerances: Tolerances
) -> Check:
    difference = np.abs(golden - found)
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    return Check(name, worst, tolerances.relative * float(np.abs(golden).max()))
