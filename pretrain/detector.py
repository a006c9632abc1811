"""The network that is deployed: one encoder pass gives boxes, an appearance descriptor of each, and depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.errors import InputError
from catseye.pretrain.appearance_head import AppearanceHead
from catseye.pretrain.checkpoint import MODEL_FILE, CheckpointInfo, fitting, load_checkpoint
from catseye.pretrain.detection_head import NECK_CHANNELS, STRIDE, Head, Neck, TrainingOutputs
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.tasks.depth import DepthDecoder, canonical_depth

EMBEDDING_DIM = 32
"""Length of descriptors where nothing else is said."""

_EMBEDDED_LEVEL = 1
_PROJECTION_SEED = 0


class DenseOutputs(NamedTuple):
    """A prediction for every cell at stride 4: h = H / 4, w = W / 4.

    Args:
        score_logits: (B, C, h, w) class logits; their sigmoid is the score.
        boxes: (B, 4, h, w) float32 corners x1 y1 x2 y2 in network pixels, not clipped.
        embeddings: (B, E, h, w) appearance descriptors, of any length.
        depth: (B, h, w) canonical depth, see ``DepthInfo``.
    """

    score_logits: Tensor
    boxes: Tensor
    embeddings: Tensor
    depth: Tensor


class Decoded(NamedTuple):
    """The K best cells of each image, best first.

    Args:
        boxes: (B, K, 4) float32 corners in network pixels, clipped to the network frame.
        scores: (B, K) float32 in [0, 1], not thresholded.
        classes: (B, K) int32.
        embeddings: (B, K, E) float32 of unit length.
        depth: (B, h, w) float32 canonical depth.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    embeddings: Tensor
    depth: Tensor


class Detector(nn.Module):
    """Encoder, neck, detection head, embedding and depth.

    Args:
        encoder: the image encoder, pretrained or not.
        classes: names in the order of the class indices.
        embedding_dim: length of the appearance descriptor, or of what is learned of it.
        neck_channels: width of neck and head.
        appearance_width: channels within a taught embedding; None for the projection that needs no teaching.
    """

    embedding: Embedding | AppearanceHead

    def __init__(
        self,
        encoder: Encoder,
        *,
        classes: Sequence[str],
        embedding_dim: int = EMBEDDING_DIM,
        neck_channels: int = NECK_CHANNELS,
        appearance_width: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.encoder = encoder
        self.neck = Neck(encoder.channels, neck_channels)
        self.head = Head(neck_channels, len(self.classes))
        if appearance_width is None:
            self.embedding = Embedding(encoder.channels[_EMBEDDED_LEVEL], embedding_dim)
        else:
            self.embedding = AppearanceHead(encoder.channels[0], embedding_dim, appearance_width)
        self.depth = DepthDecoder(encoder.channels)

    def forward(self, rgb: Tensor) -> DenseOutputs:
        """Detect in (B, 3, H, W) float RGB in [0, 1]; H and W are multiples of 32."""
        features = self.encoder(rgb)
        head = self.head(self.neck(features))
        embeddings = self.embeddings_of(rgb, features, head.boxes)
        depth = canonical_depth(self.depth(features).inverses[0].float()).squeeze(1)
        return DenseOutputs(head.one_logits.float(), head.boxes, embeddings.float(), depth)

    def embeddings_of(self, rgb: Tensor, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Descriptors (B, E, h, w) of pictures (B, 3, H, W), of which the encoder has made ``features`` and
        the head ``boxes`` (B, 4, h, w)."""
        taught = isinstance(self.embedding, AppearanceHead)
        maps: Tensor = self.embedding(rgb, features, boxes) if taught else self.embedding(features)
        return maps

    def training_outputs(self, rgb: Tensor, *, depths: int) -> TrainingOutputs:
        """The same for teaching, with depth of only the first ``depths`` pictures."""
        features = self.encoder(rgb)
        head = self.head(self.neck(features))
        if isinstance(self.embedding, Embedding):
            self.embedding.observe(features)
        return TrainingOutputs(
            one_logits=head.one_logits.float(),
            many_logits=head.many_logits.float(),
            boxes=head.boxes,
            inverse_depth=self.depth([level[:depths] for level in features]).inverses[0] if depths else None,
        )


class Embedding(nn.Module):
    """A descriptor of what a cell looks like: encoder features, standardised and projected.

    The projection is orthonormal and fixed, so that distances between features are kept about as well as so
    few numbers can (Johnson and Lindenstrauss, 1984). Nothing in it is taught; ``observe`` keeps the running
    mean and variance of the features, without which all descriptors would point the same way.
    """

    projection: Tensor

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm2d(channels, affine=False)
        generator = torch.Generator().manual_seed(_PROJECTION_SEED)
        square = torch.randn(max(channels, dim), max(channels, dim), generator=generator)
        orthonormal = torch.linalg.qr(square).Q[:dim, :channels]
        self.register_buffer("projection", orthonormal[:, :, None, None].contiguous())

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Describe the encoder's maps as (B, dim, H / 4, W / 4), upsampled by repetition."""
        projected = F.conv2d(self.standardise(features[_EMBEDDED_LEVEL]), self.projection)
        return F.interpolate(projected, size=list(features[0].shape[-2:]), mode="nearest")

    @torch.no_grad()
    def observe(self, features: Sequence[Tensor]) -> None:
        """Update the running mean and variance."""
        self.standardise(features[_EMBEDDED_LEVEL])


def decode(dense: DenseOutputs, top_k: int = 100) -> Decoded:
    """Take the ``top_k`` best cells of each image, or all cells where the map has fewer.

    A cell speaks for its best class only: one vehicle is never two detections of two classes in one place.
    """
    height, width = dense.boxes.shape[-2:]
    best_logits, best_classes = dense.score_logits.flatten(2).max(dim=1)
    logits, cells = torch.topk(best_logits, min(top_k, height * width), dim=1)
    classes = torch.gather(best_classes, 1, cells)
    boxes = _gather_cells(dense.boxes, cells).clamp(min=0)
    limit = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device) * STRIDE
    return Decoded(
        boxes=torch.minimum(boxes, limit),
        scores=torch.sigmoid(logits),
        classes=classes.to(torch.int32),
        embeddings=F.normalize(_gather_cells(dense.embeddings, cells), dim=2, eps=1e-6),
        depth=dense.depth,
    )


def load_detector(run: str | Path) -> tuple[Detector, CheckpointInfo]:
    """Load a finished fine-tuning run, on the CPU and in eval mode.

    Raises:
        InputError: the folder is no finished run, is a run of another stage, or its weights do not fit.
    """
    info, state = load_checkpoint(run)
    if info.kind != "finetune":
        raise InputError(run, f"is a {info.kind} run without a detector", "give the folder of a finetune run")
    detector = Detector(
        Encoder(info.encoder),
        classes=info.classes,
        embedding_dim=info.config.get("embedding_dim", EMBEDDING_DIM),
        neck_channels=info.config.get("neck_channels", NECK_CHANNELS),
        appearance_width=info.config.get("appearance_width"),
    )
    again = "fine-tune again" if info.config.get("appearance_width") is None else "embed again"
    with fitting(Path(run) / MODEL_FILE, remedy=again):
        detector.load_state_dict(state)
    return detector.eval(), info


def _gather_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Pick (B, K, D) float32 from (B, D, h, w) at the flat cell indices (B, K)."""
    flat = maps.flatten(2)
    index = cells.unsqueeze(1).expand(-1, flat.shape[1], -1)
    return torch.gather(flat, 2, index).transpose(1, 2).float()
