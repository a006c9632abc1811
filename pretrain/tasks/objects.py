"""Objects: a detector taught by what moves, before anybody has drawn a box.

Where the motion mask of the task ``depth`` has a region like a vehicle, its box is a label for this moment,
and the neck and head that will be deployed learn to find it in the single frame. So fine-tuning starts from a
detector that is to be told what counts, rather than from none. (Detectors from what moves in unlabelled
video: Sun and Hariharan, "MOD-UV: Learning Mobile Object Detectors from Unlabeled Videos", ECCV 2024.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.detection_head import Head, Neck, TrainingOutputs
from catseye.pretrain.detection_loss import Target, detection_losses
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.motion_mask import Compared, explained_share, moving_probability
from catseye.pretrain.moving_objects import moving_objects
from catseye.pretrain.presets import neck_channels_of
from catseye.pretrain.run_options import SIZE_STEP
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

_SMALLEST_HEIGHT = 5.0
_UNDERSTOOD = 0.85


class Objects(Task):
    """Learns the boxes of what moves in the inner frames of clips, all of one class, as fine-tuning does.

    It sees each frame a second time at half its size. How something moves can only be told where it is near;
    seen small it is what will be found far away, where most vehicles are.
    """

    builds_on = "depth"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        width = neck_channels_of(encoder.name)
        self.neck = Neck(encoder.channels, width)
        self.head = Head(width, 1)

    def forward(self, encoded: Encoded) -> TaskOutput:
        (compared,) = encoded.compared
        clips, length, _, height, width = encoded.clean.shape
        # The first frame of a clip and the last are seen from one side only, which hides what is behind.
        near = [maps[:, 1:-1].flatten(0, 1) for maps in encoded.features]
        far = encoded.encode(encoded.jitter(halved_frames(encoded.clean[:, 1:-1].flatten(0, 1))))
        inner = Compared(
            *(torch.unflatten(maps, 0, (clips, length))[:, 1:-1].flatten(0, 1) for maps in compared)
        )
        moving, understood = moving_probability(*inner), explained_share(inner) >= _UNDERSTOOD
        seen = labels_of(moving, understood, height=height, width=width)
        losses = [*self._losses(near, seen), *self._losses(far, [at_half_size(target) for target in seen])]
        boxes = sum(len(target.boxes) for target in seen)
        # Frames without any object say nothing yet: early on, that is all of them.
        loss = torch.stack(losses).sum() * (boxes > 0) / 2
        metrics = {"boxes": loss.new_tensor(boxes / len(seen)), "understood": understood.float().mean()}
        return TaskOutput(loss, metrics)

    def _losses(self, features: Sequence[Tensor], targets: Sequence[Target]) -> Iterable[Tensor]:
        found = self.head(self.neck(features))
        outputs = TrainingOutputs(found.one_logits.float(), found.many_logits.float(), found.boxes, None)
        return detection_losses(outputs, targets).values()


def halved_frames(frames: Tensor) -> Tensor:
    """Frames (N, 3, H, W) at half their size, their border repeated up to a size that an encoder takes."""
    half = F.avg_pool2d(frames, 2)
    down, across = (-size % SIZE_STEP for size in half.shape[-2:])
    return F.pad(half, (0, across, 0, down), mode="replicate")


def labels_of(probability: Tensor, understood: Tensor, *, height: int, width: int) -> list[Target]:
    """What is to be found in N frames (height, width) by their motion masks (N, 1, h, w).

    What is too small there to be told from anything else need not be found, nor anything in a frame whose
    motion is not understood, (N,) bool.
    """
    scale = torch.tensor([width / probability.shape[-1], height / probability.shape[-2]] * 2)
    everywhere = torch.tensor([[0.0, 0.0, width, height]])
    targets = []
    for mask, clear in zip(probability[:, 0].cpu().numpy(), understood.tolist(), strict=True):
        boxes, doubtful = torch.zeros(0, 4), everywhere
        if clear:
            boxes, doubtful = (torch.from_numpy(corners) * scale for corners in moving_objects(mask))
        targets.append(_target(boxes.to(probability.device), doubtful.to(probability.device)))
    return targets


def at_half_size(target: Target) -> Target:
    """The same labels in a frame of half the size, where more of them are too small to be found."""
    return _target(target.boxes / 2, target.ignored / 2)


def _target(boxes: Tensor, ignored: Tensor) -> Target:
    """Objects all of one class, those that are too small among what is ignored."""
    small = boxes[:, 3] - boxes[:, 1] < _SMALLEST_HEIGHT
    found = boxes[~small]
    classes = torch.zeros(len(found), dtype=torch.int64, device=boxes.device)
    return Target(found, classes, torch.cat((ignored, boxes[small])))
