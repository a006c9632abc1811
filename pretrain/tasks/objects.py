"""Objects: a detector taught by what moves, before anybody has drawn a box.

Where the motion mask of the task ``depth`` has a region like a vehicle, its box is a label for this moment,
and the neck and head that will be deployed learn to find it in the single frame. So fine-tuning starts from a
detector that is to be told what counts, rather than from none. (Detectors from what moves in unlabelled
video: Sun and Hariharan, "MOD-UV: Learning Mobile Object Detectors from Unlabeled Videos", ECCV 2024.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from catseye.pretrain.detection_head import NECK_CHANNELS, Head, Neck, TrainingOutputs
from catseye.pretrain.detection_loss import Target, detection_losses
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.motion_mask import moving_probability
from catseye.pretrain.moving_objects import moving_objects
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput


class Objects(Task):
    """Learns the boxes of what moves in the inner frames of clips, all of one class, as fine-tuning does."""

    builds_on = "depth"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.neck = Neck(encoder.channels, NECK_CHANNELS)
        self.head = Head(NECK_CHANNELS, 1)

    def forward(self, encoded: Encoded) -> TaskOutput:
        (compared,) = encoded.compared
        count, length, _, height, width = encoded.clean.shape
        # The first frame of a clip and the last are seen from one side only, which hides what is behind.
        inner = [maps[:, 1:-1].flatten(0, 1) for maps in encoded.features]
        seen = [torch.unflatten(maps, 0, (count, length))[:, 1:-1].flatten(0, 1) for maps in compared]
        outputs = self.head(self.neck(inner))
        targets = labels_of(moving_probability(*seen), height=height, width=width)
        boxes = sum(len(target.boxes) for target in targets)
        losses = detection_losses(
            TrainingOutputs(outputs.one_logits.float(), outputs.many_logits.float(), outputs.boxes, None),
            targets,
        )
        # Frames without any object say nothing yet: early on, that is all of them.
        loss = torch.stack(list(losses.values())).sum() * (boxes > 0)
        return TaskOutput(loss, {"boxes": loss.new_tensor(boxes / len(targets))})


def labels_of(probability: Tensor, *, height: int, width: int) -> list[Target]:
    """What is to be found in N frames (height, width) by their motion masks (N, 1, h, w)."""
    scale = torch.tensor([width / probability.shape[-1], height / probability.shape[-2]] * 2)
    targets = []
    for mask in probability[:, 0].cpu().numpy():
        found = moving_objects(mask)
        boxes, doubtful = (torch.from_numpy(corners) * scale for corners in found)
        targets.append(
            Target(
                boxes=boxes.to(probability.device),
                classes=torch.zeros(len(boxes), dtype=torch.int64, device=probability.device),
                ignored=doubtful.to(probability.device),
            )
        )
    return targets
