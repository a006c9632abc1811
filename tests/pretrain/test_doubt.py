from __future__ import annotations

import numpy as np
import pytest
import torch

from catseye.pretrain.doubt import Found, best_cells, disagreement, doubt_of, mirror

A, B, FAR = [10, 10, 30, 20], [12, 10, 32, 20], [60, 40, 80, 50]


def found(*boxes: list[int], scores: list[float]) -> Found:
    return Found(np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(scores, dtype=np.float32))


def test_a_score_of_a_half_is_in_doubt_and_a_sure_one_is_not() -> None:
    sure, unsure = found(A, FAR, scores=[0.99, 0.98]), found(A, FAR, scores=[0.5, 0.6])
    assert doubt_of(sure, sure, sure).boxes == pytest.approx(0.01, abs=1e-6)
    assert doubt_of(unsure, unsure, unsure).unsure == pytest.approx(0.9)


def test_pairs_differ_by_their_scores_and_others_by_all_of_theirs() -> None:
    assert disagreement(found(A, scores=[0.9]), found(B, scores=[0.6])) == pytest.approx(0.3)
    assert disagreement(found(A, scores=[0.9]), found(FAR, scores=[0.6])) == pytest.approx(1.5)
    assert disagreement(found(A, FAR, scores=[0.9, 0.4]), found(scores=[])) == pytest.approx(1.3)
    # Two boxes on one: the better overlap is its pair, the other is one too many.
    assert disagreement(found(A, B, scores=[0.8, 0.7]), found(A, scores=[0.8])) == pytest.approx(0.7)


def test_each_reading_is_of_its_own_pair() -> None:
    one = found(A, scores=[0.9])
    doubt = doubt_of(one, found(A, scores=[0.7]), found(scores=[]))
    assert (doubt.two_heads, doubt.mirrored) == (pytest.approx(0.2), pytest.approx(0.9))
    assert doubt.boxes == pytest.approx((0.1 + 0.2 + 0.9) / 3)


def test_mirroring_twice_gives_what_was_there() -> None:
    once = mirror(found(A, scores=[0.9]), width=100)
    assert once.boxes.tolist() == [[70, 10, 90, 20]]
    assert mirror(once, width=100).boxes.tolist() == [A]


def test_cells_become_boxes_best_first_and_rivals_are_suppressed() -> None:
    logits = torch.full((1, 2, 1, 4), -9.0)
    logits[0, 0, 0, :3] = torch.tensor([1.0, 2.0, 0.0])
    logits[0, 1, 0, 3] = 1.5
    boxes = torch.tensor([A, B, FAR, A]).T[None, :, None, :].float()
    (every,) = best_cells(logits, boxes)
    assert every.boxes.tolist() == [B, A, A, FAR]
    assert every.scores == pytest.approx(torch.sigmoid(torch.tensor([2.0, 1.5, 1.0, 0.0])).numpy())
    (kept,) = best_cells(logits, boxes, suppress=True)
    assert kept.boxes.tolist() == [B, A, FAR]  # the A of the other class stays
