"""Detecting in a picture of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from catseye.capture.geometry import letterbox
from catseye.pretrain.detector import DenseOutputs
from catseye.pretrain.prediction import predict


class OneBox(nn.Module):
    """Finds the same box in network pixels whatever it is shown."""

    def __init__(self, *corners: float) -> None:
        super().__init__()
        self.corners = nn.Parameter(torch.tensor(corners))

    def forward(self, rgb: Tensor) -> DenseOutputs:
        height, width = rgb.shape[2] // 4, rgb.shape[3] // 4
        logits = torch.full((1, 1, height, width), -9.0)
        logits[0, 0, 3, 5] = 9.0
        boxes = self.corners.view(1, 4, 1, 1).expand(1, 4, height, width)
        return DenseOutputs(logits, boxes, torch.ones(1, 2, height, width), torch.ones(1, height, width))


@pytest.mark.parametrize(("width", "height"), [(96, 64), (200, 64), (60, 200)])
def test_boxes_are_in_the_pictures_own_pixels(width: int, height: int) -> None:
    wanted = np.array([[12.0, 20.0, 40.0, 50.0]], dtype=np.float32)
    (corners,) = letterbox(width, height, 96, 64).boxes_to_network(wanted)
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    found = predict(OneBox(*corners.tolist()), rgb, width=96, height=64, top_k=1)  # type: ignore[arg-type]  # a fake
    np.testing.assert_allclose(found.boxes, wanted, atol=0.01)
    assert found.scores[0] > 0.99 and found.classes.tolist() == [0]
