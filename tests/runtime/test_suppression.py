"""Doubles are dropped as the greedy rule drops them, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from catseye.runtime.suppression import chosen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou", [0.3, 0.65])
def test_agrees_with_torchvision(seed: int, iou: float) -> None:
    draw = np.random.default_rng(seed)
    corner = draw.uniform(0, 20, (200, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(20, 40, (200, 2))], axis=1).astype(np.float32)
    scores = np.sort(draw.uniform(0.01, 1, 200).astype(np.float32))[::-1].copy()
    classes = draw.integers(0, 2, 200).astype(np.int32)
    found = chosen(boxes, scores, classes, least=0.0, nms_iou=iou)
    arrays = (torch.from_numpy(array) for array in (boxes, scores, classes))
    np.testing.assert_array_equal(found, batched_nms(*arrays, iou_threshold=iou).numpy())
    assert len(found) < 150


def test_a_chain_is_broken_where_greed_breaks_it() -> None:
    """Each overlaps the next: the first drops the second, which therefore cannot drop the third."""
    boxes = np.array([[10 * k, 0, 10 * k + 30, 10] for k in range(6)], dtype=np.float32)
    scores = np.linspace(0.9, 0.4, 6, dtype=np.float32)
    found = chosen(boxes, scores, np.zeros(6, np.int32), least=0.0, nms_iou=0.4)
    np.testing.assert_array_equal(found, [0, 2, 4])


def test_free_slots_and_weak_ones_are_left_out() -> None:
    boxes = np.tile(np.array([0, 0, 10, 10], dtype=np.float32), (4, 1))
    scores = np.array([0.9, 0.5, 0.1, 0.0], dtype=np.float32)
    classes = np.array([0, 1, 0, 0], dtype=np.int32)
    np.testing.assert_array_equal(chosen(boxes, scores, classes, least=0.0, nms_iou=None), [0, 1, 2])
    np.testing.assert_array_equal(chosen(boxes, scores, classes, least=0.2, nms_iou=None), [0, 1])
    np.testing.assert_array_equal(chosen(boxes, scores, classes, least=0.0, nms_iou=0.5), [0, 1])
    assert chosen(boxes, 0 * scores, classes, least=0.0, nms_iou=0.5).size == 0


def test_what_rounding_has_put_out_of_order_is_given_best_first() -> None:
    boxes = np.array([[20 * k, 0, 20 * k + 10, 10] for k in range(4)], dtype=np.float32)
    scores = np.array([0.9, 0.5, 0.6, 0.5], dtype=np.float32)
    for nms_iou in (None, 0.5):
        found = chosen(boxes, scores, np.zeros(4, np.int32), least=0.1, nms_iou=nms_iou)
        np.testing.assert_array_equal(found, [0, 2, 1, 3])
