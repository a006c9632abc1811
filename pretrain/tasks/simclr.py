"""SimCLR, to compare with: tell a clip's other view from those of other clips.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020; the loss is
lightly's.
"""

from __future__ import annotations

from torch import Tensor

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput
from catseye.pretrain.tasks.views import Projector, lightly_loss, two_views

_TEMPERATURE = 0.1


class SimCLR(Task):
    """Contrasts the clips of a batch, by their maps at stride 32."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.projector = Projector(encoder.channels[-1])
        self.contrast = lightly_loss("NTXentLoss", temperature=_TEMPERATURE)

    def forward(self, encoded: Encoded) -> TaskOutput:
        one, other = (self.projector(maps[-1]) for maps in two_views(encoded))
        loss: Tensor = self.contrast(one, other)
        return TaskOutput(loss, {})
