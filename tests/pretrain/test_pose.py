"""Rigid motion against OpenCV's Rodrigues and against its own inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from catseye.pretrain.clip_sampler import DEFAULT_FOCAL
from catseye.pretrain.pose import (
    PoseNet,
    invert,
    lens_intrinsics,
    rigid_transform,
    rotation_matrix,
    rotation_vector,
)


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
    assert short.motion.abs().max() > 0
    longer = network(earlier, later, torch.tensor([0.3]))
    torch.testing.assert_close(longer.motion, 3 * short.motion)
    torch.testing.assert_close(longer.lens, short.lens)


def test_small_rotations_come_back_as_vectors() -> None:
    vectors = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)) * 0.02
    torch.testing.assert_close(rotation_vector(rotation_matrix(vectors)), vectors, atol=2e-5, rtol=0)


def test_an_untrained_network_takes_the_lens_for_a_usual_one() -> None:
    torch.manual_seed(0)
    lens = PoseNet()(*torch.rand(2, 1, 3, 64, 96), torch.tensor([0.1])).lens
    intrinsics = lens_intrinsics(lens, width=96, height=64)
    torch.testing.assert_close(intrinsics, torch.tensor([[DEFAULT_FOCAL, DEFAULT_FOCAL * 1.5, 0.5, 0.5]]))
    longer = lens_intrinsics(lens + torch.tensor([[0.5, 1.0, 0.0]]), width=96, height=64)
    torch.testing.assert_close(longer[0, :2], intrinsics[0, :2] * torch.tensor(0.5).exp())
    assert longer[0, 2:].tolist() == pytest.approx([0.6, 0.5])
