"""Rigid motion against OpenCV's Rodrigues and against its own inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from catseye.pretrain.pose import PoseNet, invert, rigid_transform, rotation_matrix


@pytest.mark.parametrize("scale", [0.0, 1e-5, 1e-2, 1.0, 3.0])
def test_rotation_is_that_of_rodrigues(scale: float) -> None:
    vectors = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * scale
    expected = np.stack([cv2.Rodrigues(vector.numpy())[0] for vector in vectors])
    np.testing.assert_allclose(rotation_matrix(vectors).numpy(), expected, atol=1e-9)


def test_rotation_has_a_gradient_at_zero() -> None:
    vector = torch.zeros(1, 3, requires_grad=True)
    rotation_matrix(vector)[0, 2, 1].backward()
    assert vector.grad is not None
    assert vector.grad.tolist() == [[1.0, 0.0, 0.0]]


def test_inverse_undoes_a_motion() -> None:
    transform = rigid_transform(torch.randn(4, 6))
    torch.testing.assert_close(invert(transform) @ transform, torch.eye(4).expand(4, 4, 4), atol=1e-5, rtol=0)


def test_motion_grows_with_the_time_between_frames() -> None:
    torch.manual_seed(0)
    network = PoseNet().eval()
    earlier, later = torch.rand(2, 1, 3, 64, 96)
    short = network(earlier, later, torch.tensor([0.1]))
    assert short.abs().max() > 0
    torch.testing.assert_close(network(earlier, later, torch.tensor([0.3])), 3 * short)
