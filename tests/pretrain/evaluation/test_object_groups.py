"""Recall by group, counted by hand."""

from __future__ import annotations

import numpy as np

from catseye.pretrain.augment import Still
from catseye.pretrain.evaluation.object_groups import groups_of
from catseye.pretrain.evaluation.outcomes import StillOutcome
from catseye.pretrain.labels import LabelledImage


def still(
    level: int, boxes: list[list[int]], found: list[bool], false: list[list[int]]
) -> tuple[StillOutcome, LabelledImage, Still]:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    classes, crowd = np.zeros(len(boxes), np.int32), np.zeros(len(boxes), dtype=bool)
    outcome = StillOutcome(~crowd, np.array(found, dtype=bool), np.array(false, np.float32).reshape(-1, 4))
    picture = np.full((60, 90, 3), level, dtype=np.uint8)
    return (
        outcome,
        LabelledImage("a", 90, 60, corners, classes, crowd),
        Still(picture, corners, classes, crowd),
    )


def test_every_aspect_counts_what_is_in_it() -> None:
    rows = [
        still(20, [[0, 0, 9, 5], [40, 0, 50, 15]], [False, True], [[80, 0, 89, 50]]),
        still(100, [[70, 0, 80, 15], *[[0, 0, 20, 30]] * 3], [True, True, True, False], []),
        still(200, [], [], [[0, 0, 5, 5], [40, 0, 45, 5]]),
    ]
    outcomes, images, stills = (list(part) for part in zip(*rows, strict=True))
    groups = groups_of("probe", outcomes, images, stills)
    counted = {(g.aspect, g.name): (g.objects, g.recall, g.false) for g in groups}
    assert counted == {
        ("height", "under 10 px"): (1, 0.0, 2),
        ("height", "10 to 20 px"): (2, 1.0, 0),
        ("height", "20 to 40 px"): (3, 2 / 3, 0),
        ("height", "40 px and over"): (0, None, 1),
        ("place", "left third"): (4, 0.5, 1),
        ("place", "middle third"): (1, 1.0, 1),
        ("place", "right third"): (1, 1.0, 1),
        ("light", "dark third"): (2, 0.5, 1),
        ("light", "middle third"): (4, 0.75, 0),
        ("light", "bright third"): (0, None, 2),
        ("objects", "none in the still"): (0, None, 2),
        ("objects", "1 to 3 in the still"): (2, 0.5, 1),
        ("objects", "4 to 7 in the still"): (4, 0.75, 0),
    }
