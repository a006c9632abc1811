"""VICReg, to compare with: views of a clip agree, while channels vary and tell different things.

Bardes et al., "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR
2022; the loss is lightly's.
"""

from __future__ import annotations

from torch import Tensor

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput
from catseye.pretrain.tasks.views import Projector, lightly_loss, two_views


class VICReg(Task):
    """Regularises the clips of a batch, by their maps at stride 32."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.projector = Projector(encoder.channels[-1])
        self.regularise = lightly_loss("VICRegLoss")

    def forward(self, encoded: Encoded) -> TaskOutput:
        one, other = (self.projector(maps[-1]) for maps in two_views(encoded))
        loss: Tensor = self.regularise(one, other)
        return TaskOutput(loss, {})
