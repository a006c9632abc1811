from __future__ import annotations

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, K, boxes, standing

from catseye.runtime.ranging.known_sizes import SIZES, Shape, shapes_of
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.visibility import cut_off

CAR = Shape(height_m=1.5, spread=0.1, aspect=1.2, aspect_spread=0.2, share=0.8)
BUS = Shape(height_m=3.0, spread=0.1, aspect=0.8, aspect_spread=0.2, share=0.2)
KNOWN = SizeTable([(CAR,), (BUS,), (), (CAR, BUS)])


def measured(there: np.ndarray, classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    cue = by_size(there, np.array(classes), cut_off(there, BOX), K[1, 1], KNOWN, errors=ERRORS)
    return np.exp(cue.log_m), np.sqrt(cue.variance)


def test_a_known_height_is_a_distance() -> None:
    there = boxes(standing(12.0), standing(25.0, height=3.0))
    metres, _ = measured(there, [0, 1])
    assert metres == pytest.approx([12.0, 25.0])


def test_an_unknown_class_says_nothing() -> None:
    metres, sigma = measured(boxes(standing(12.0)), [2])
    assert np.isnan(metres).all() and np.isinf(sigma).all()
    assert not SizeTable([(), ()]).known and KNOWN.known


def test_the_error_is_the_classes_spread_and_the_edges() -> None:
    _, (near, far) = measured(boxes(standing(8.0), standing(60.0)), [0, 0])
    assert near == pytest.approx(np.hypot(0.1, 0.5 * np.sqrt(2) / 46.9), rel=1e-3)
    assert far > near


def test_of_several_kinds_the_aspect_tells() -> None:
    car, bus = boxes(standing(12.0)), boxes(standing(25.0, height=3.0, width=2.0))
    (metres,), (sigma,) = measured(car, [3])
    assert metres == pytest.approx(12.0, rel=0.12)
    (far,), _ = measured(bus, [3])
    assert far == pytest.approx(25.0, rel=0.12)
    between = boxes(standing(12.0, width=1.5 * 0.87))
    _, (unsure,) = measured(between, [3])
    assert unsure > 2 * sigma


def test_an_aspect_like_nothing_known_still_gives_a_number() -> None:
    metres, sigma = measured(boxes([10, 50, 300, 52], [10, 50, 11, 150]), [3, 3])
    assert np.isfinite(metres).all() and np.isfinite(sigma).all()


def test_a_box_that_is_cut_says_less() -> None:
    whole, cut = boxes(standing(8.0)), boxes(standing(8.0))
    cut[0, 3] = 186.0
    assert measured(cut, [0])[1][0] > 0.3 > measured(whole, [0])[1][0]


def test_the_table_gives_what_it_says() -> None:
    assert shapes_of("Car") == SIZES["car"] and shapes_of("lamp") == ()
    assert sum(shape.share for shape in SIZES["vehicle"]) == pytest.approx(1.0)


def test_spread_of_several_kinds_is_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    kinds = (CAR, replace_share(BUS, 0.5))
    table = SizeTable([kinds])
    mean, variance = table.heights(np.array([0]), np.array([0.9]))
    likely = [
        kind.share / kind.aspect_spread * np.exp(-0.5 * (np.log(0.9 / kind.aspect) / kind.aspect_spread) ** 2)
        for kind in kinds
    ]
    drawn = np.concatenate(
        [
            rng.normal(kind.log_height, kind.spread, round(100_000 * weight / sum(likely)))
            for kind, weight in zip(kinds, likely, strict=True)
        ]
    )
    assert mean[0] == pytest.approx(drawn.mean(), abs=0.005)
    assert variance[0] == pytest.approx(drawn.var(), rel=0.03)


def replace_share(shape: Shape, share: float) -> Shape:
    return shape.model_copy(update={"share": share})
