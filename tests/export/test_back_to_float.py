"""How many layers have to be float again, with made-up networks."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import pytest

from catseye.export.back_to_float import FloatSearch, back_to_float
from catseye.export.gate import Judgement
from catseye.export.task_figures import TaskFigures

LAYERS = tuple(f"layer{number}" for number in range(40))


def search(needed: int, *, most: int | None = None, order: Sequence[str] = LAYERS) -> FloatSearch:
    """Of a network that keeps its budget once this many of the first layers are float."""

    def measure(graph: bytes) -> TaskFigures:
        moved = graph.decode().split()
        assert moved == list(order[: len(moved)])
        return TaskFigures({"ap50": float(len(moved))})

    def judge(figures: TaskFigures) -> Judgement:
        return Judgement(figures.values["ap50"] >= needed, f"{figures.values['ap50']:.0f} of {needed}")

    return back_to_float(
        lambda: order, make=lambda moved: " ".join(moved).encode(), measure=measure, judge=judge, most=most
    )


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 5, 8, 21, 33, 40])
def test_the_fewest_layers_are_found_in_few_measurements(needed: int) -> None:
    found = search(needed)
    assert found
    assert found.best.moved == LAYERS[:needed]
    assert found.best.graph == " ".join(LAYERS[:needed]).encode()
    assert found.measured <= 2 + 2 * log2(max(1, needed)) + 1
    assert found.reason == (
        f"{needed} of {needed}" + (f"; {needed} layers are back in float" if needed else "")
    )


def test_it_is_given_up_with_a_reason() -> None:
    found = search(21, most=20)
    assert not found
    assert len(found.best.moved) == 20
    assert found.reason == "20 of 21; 20 layers are back in float"
    assert not search(41)


def test_sensitivity_is_not_measured_in_vain() -> None:
    def never() -> Sequence[str]:
        raise AssertionError

    found = back_to_float(
        never, make=lambda _: b"", measure=lambda _: TaskFigures(), judge=lambda _: Judgement(True, "kept")
    )
    assert found
    assert found.measured == 1


def test_no_layer_can_be_moved() -> None:
    assert search(0, order=())
    assert not search(1, order=())


def test_what_is_returned_was_measured_good_even_where_more_float_is_worse() -> None:
    good = {4, 7}
    seen: list[int] = []

    def judge(figures: TaskFigures) -> Judgement:
        return Judgement(int(figures.values["ap50"]) in good, "")

    def measure(graph: bytes) -> TaskFigures:
        seen.append(len(graph))
        return TaskFigures({"ap50": float(len(graph))})

    found = back_to_float(
        lambda: "abcdefgh", make=lambda m: "".join(m).encode(), measure=measure, judge=judge
    )
    assert len(found.best.moved) in good
    assert found.measured == len(seen)
