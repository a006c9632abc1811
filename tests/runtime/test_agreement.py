"""A graph of lower precision passes when it sees the same, and fails when it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from catseye.runtime.agreement import compare_coarsely
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.manifest import Agreement

LIMITS = Agreement(detections=0.1, boxes=0.05, scores=0.05, embeddings=0.05, depth=0.05)


def output(seed: int = 0) -> EngineOutput:
    """Two frames of nine objects far from each other, the better six above 0.3."""
    generator = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(np.arange(3) * 100.0, np.arange(3) * 60.0), axis=-1).reshape(1, 9, 2)
    corners = corners + generator.uniform(0, 10, (2, 9, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(20, 40, (2, 9, 2))], axis=2)
    embeddings = generator.standard_normal((2, 9, 16))
    return EngineOutput(
        boxes=boxes.astype(np.float32),
        scores=np.repeat(np.linspace(0.9, 0.05, 9, dtype=np.float32)[None], 2, axis=0),
        classes=generator.integers(0, 2, (2, 9), dtype=np.int32),
        embeddings=(embeddings / np.linalg.norm(embeddings, axis=2, keepdims=True)).astype(np.float32),
        depth=generator.uniform(1, 100, (2, 6, 8)).astype(np.float32),
    )


def failing(found: EngineOutput) -> set[str]:
    checks = compare_coarsely(output(), found, threshold=0.3).checks(LIMITS)
    assert [check.name for check in checks] == ["detections", "boxes", "scores", "embeddings", "depth"]
    return {check.name for check in checks if not check}


def test_the_same_is_not_apart() -> None:
    apart = compare_coarsely(output(), output(), threshold=0.3)
    assert max(apart.detections, apart.boxes, apart.scores, apart.depth or 0) == 0
    assert apart.embeddings == pytest.approx(0, abs=1e-6)


def test_rounding_and_changed_places_pass() -> None:
    golden, noise = output(), np.random.default_rng(1)
    order = [1, 0, 2, 4, 3, 5, 6, 8, 7]
    found = replace(
        golden,
        boxes=(golden.boxes + noise.uniform(-0.3, 0.3, golden.boxes.shape).astype(np.float32))[:, order],
        scores=(golden.scores + noise.uniform(-0.02, 0.02, (2, 9)).astype(np.float32))[:, order],
        classes=golden.classes[:, order],
        embeddings=golden.embeddings[:, order],
        depth=golden.depth * np.float32(1.02),
    )
    assert not failing(found)


def test_a_weak_detection_may_go_and_a_sure_one_may_not() -> None:
    golden = output()
    weak, sure = golden.boxes.copy(), golden.boxes.copy()
    weak[:, -1] += 400
    sure[:, :2] += 400
    assert not failing(replace(golden, boxes=weak))
    assert "detections" in failing(replace(golden, boxes=sure))


def test_what_is_found_too_much_counts() -> None:
    golden = output()
    boxes, scores = golden.boxes.copy(), golden.scores.copy()
    boxes[:, 6:] += 400
    scores[:, 6:] = 0.8
    found = replace(golden, boxes=boxes, scores=scores)
    assert compare_coarsely(golden, found, threshold=0.3).detections == pytest.approx(3 / 15)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda o: replace(o, classes=1 - o.classes), "detections"),
        (lambda o: replace(o, boxes=o.boxes[..., [1, 0, 3, 2]].copy()), "detections"),
        (lambda o: replace(o, boxes=o.boxes + np.float32([0, 0, 3, 3])), "boxes"),
        (lambda o: replace(o, scores=o.scores * np.float32(0.8)), "scores"),
        (lambda o: replace(o, embeddings=o.embeddings[..., ::-1].copy()), "embeddings"),
        (lambda o: replace(o, depth=1 / o.depth), "depth"),
        (lambda o: replace(o, depth=o.depth[::-1].copy()), "depth"),
        (lambda o: replace(o, depth=o.depth * np.float32(np.nan)), "depth"),
        (lambda o: replace(o, boxes=o.boxes * np.float32(np.nan)), "detections"),
        (lambda o: replace(o, scores=o.scores * np.float32(np.nan)), "detections"),
        (lambda o: replace(o, embeddings=o.embeddings * np.float32(np.nan)), "embeddings"),
    ],
)
def test_another_network_fails(spoil: Callable[[EngineOutput], EngineOutput], said: str) -> None:
    assert said in failing(spoil(output()))


def test_one_frame_of_wrong_depth_is_enough() -> None:
    depth = output().depth
    assert depth is not None
    depth[1] *= np.float32(1.08)
    assert failing(replace(output(), depth=depth)) == {"depth"}


def test_what_the_network_has_not_is_not_compared() -> None:
    plain = replace(output(), embeddings=None, depth=None)
    checks = compare_coarsely(plain, plain, threshold=0.3).checks(LIMITS)
    assert [check.name for check in checks] == ["detections", "boxes", "scores"]
