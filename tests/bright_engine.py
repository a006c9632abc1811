"""A network that needs no training: it sees bright rectangles."""

from __future__ import annotations

import cv2
import numpy as np

from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.manifest import DepthOutput, Manifest, Network, Provenance

SLOTS, DEPTH = 20, 12.0


class BrightEngine:
    """Boxes of what is brighter than 180, best score first; depth is 12 everywhere. Implements ``Engine``."""

    name = "bright"

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.calls = 0
        self.closed = False

    def infer(self, inputs: Inputs) -> EngineOutput:
        (frames,) = inputs.values()
        network = self.manifest.network
        assert frames.shape == (network.batch, network.height, network.width, 3)
        self.calls += 1
        count = len(frames)
        boxes = np.zeros((count, SLOTS, 4), np.float32)
        scores = np.zeros((count, SLOTS), np.float32)
        for number, frame in enumerate(frames):
            bright = (frame.min(axis=2) > 180).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
            for slot, (x, y, w, h, area) in enumerate(stats[1 : SLOTS + 1]):
                boxes[number, slot] = (x, y, x + w, y + h)
                scores[number, slot] = 0.9 if area > 20 else 0.2
        return EngineOutput(
            boxes=boxes,
            scores=scores,
            classes=np.zeros((count, SLOTS), np.int32),
            embeddings=np.ones((count, SLOTS, 1), np.float32),
            depth=np.full((count, *self.manifest.depth_shape), DEPTH, np.float32),
        )

    def close(self) -> None:
        self.closed = True


def make_manifest(*, batch: int = 1, metric: bool = True) -> Manifest:
    return Manifest(
        name="bright",
        created="2026-01-01T00:00:00Z",
        classes=("lamp",),
        network=Network(width=160, height=96, batch=batch),
        top_k=SLOTS,
        embedding_dim=1,
        depth_shape=(24, 40),
        depth=DepthOutput(width=40, height=24, canonical_focal_px=160.0, metric=metric),
        score_threshold=0.4,
        proof_frames=batch,
        fragment_size=(64, 48),
        fragment_frames=1,
        provenance=Provenance(encoder="none"),
    )
