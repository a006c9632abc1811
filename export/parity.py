"""Proof that the exported graph computes what the trained network computes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Planes, planes_to_rgb, rgb_from_yuv
from catseye.errors import CatseyeError
from catseye.export.graph import HEAD_NAMES, GraphOutputs
from catseye.export.onnx_export import ExportedGraph
from catseye.pretrain.detector import DenseOutputs, Detector, decode
from catseye.runtime.engines.base import INPUT_NAME, OUTPUT_NAMES, EngineOutput, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine, make_session, run_session
from catseye.runtime.manifest import Colour, Network, Tolerances
from catseye.runtime.network_input import frame_count, in_batches
from catseye.runtime.proof import Check, above_cut, compare_outputs, replay

COLOUR_MEAN, COLOUR_MAX = 1.0, 2.5
"""Levels of 0…255 that RGB made of planes may be from what ``geometry`` makes of them, which rounds twice."""


@dataclass(frozen=True)
class Parity:
    """The trained network against the exported graph on ONNX Runtime.

    Args:
        frames: how many frames were compared.
        detections: how many detections were far enough above the cut to be compared one by one.
        colour: what the network sees of planes against what it saw in training, see ``colour_checks``.
        heads: dense outputs before TopK.
        outputs: what an engine returns, after it.
    """

    frames: int
    detections: int
    colour: tuple[Check, ...]
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
            "colour": [asdict(check) for check in self.colour],
            "heads": [asdict(check) for check in self.heads],
            "outputs": [asdict(check) for check in self.outputs],
        }


def reference_outputs(
    detector: Detector, inputs: Inputs, *, top_k: int, colour: Colour | None = None
) -> GraphOutputs:
    """Run the trained network in PyTorch on what a graph is given, frame by frame.

    It is written out here and does not go through ``DeployedGraph``, whose faults it would otherwise share.
    """
    with torch.inference_mode():
        parts = []
        for index in range(frame_count(inputs)):
            rgb = reference_rgb({name: array[index] for name, array in inputs.items()}, colour)
            dense: DenseOutputs = detector(torch.from_numpy(rgb.transpose(2, 0, 1)[None] / 255).contiguous())
            parts.append(
                GraphOutputs(*decode(dense, top_k), dense.score_logits, dense.boxes, dense.embeddings)
            )
        return GraphOutputs(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def reference_rgb(frame: Inputs, colour: Colour | None) -> NDArray[np.float32]:
    """What the network is to see of one frame: RGB levels (H, W, 3), of planes without rounding."""
    if colour is None:
        return frame[INPUT_NAME].astype(np.float32)
    luma, chroma = (frame[name].astype(np.float32) for name in ("luma", "chroma"))
    doubled = cv2.resize(chroma, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    matrix = rgb_from_yuv(colour.matrix, full_range=colour.full_range)
    levels = np.dstack([luma, doubled]) @ matrix[:, :3].T + matrix[:, 3]
    return np.asarray(np.clip(levels, 0, 255), dtype=np.float32)


def reference_frames(inputs: Inputs, colour: Colour | None) -> NDArray[np.float32]:
    """``reference_rgb`` of each frame, (F, H, W, 3)."""
    frames = range(frame_count(inputs))
    return np.stack(
        [reference_rgb({name: array[at] for name, array in inputs.items()}, colour) for at in frames]
    )


def colour_checks(inputs: Inputs, colour: Colour | None) -> tuple[Check, ...]:
    """How far what the network sees is from what it was trained on, in levels: by rounding, of planes."""
    if colour is None:
        return ()
    differences = []
    for luma, chroma in zip(inputs["luma"], inputs["chroma"], strict=True):
        planes = Planes(luma, chroma[..., 0], chroma[..., 1], colour.matrix, colour.full_range)
        seen = reference_rgb({"luma": luma, "chroma": chroma}, colour)
        differences.append(np.abs(planes_to_rgb(planes) - seen))
    difference = np.stack(differences)
    return (
        Check("colour mean level", float(difference.mean()), COLOUR_MEAN),
        Check("colour largest level", float(difference.max()), COLOUR_MAX),
    )


def prove_parity(
    reference: GraphOutputs,
    exported: ExportedGraph,
    inputs: Inputs,
    *,
    network: Network,
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
    runs = [
        {name: array[:kept] for name, array in run_session(session, part).items()}
        for part, kept in in_batches(inputs, network.batch)
    ]
    heads = tuple(
        _head_check(
            name, getattr(reference, name).numpy(), np.concatenate([run[name] for run in runs]), tolerances
        )
        for name in (*HEAD_NAMES, "depth")
    )
    found = replay(OnnxRuntimeEngine(exported.deployed, threads=threads), inputs, batch=network.batch)
    parity = Parity(
        frames=frame_count(inputs),
        detections=int(above_cut(golden.scores, tolerances).sum()),
        colour=colour_checks(inputs, network.colour),
        heads=heads,
        outputs=tuple(compare_outputs(golden, found, tolerances)),
    )
    for check in (*parity.colour, *parity.heads, *parity.outputs):
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
