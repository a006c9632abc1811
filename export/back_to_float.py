"""The search for the fewest layers that have to be float again for a precision to keep its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catseye.export.gate import Judgement
from catseye.export.task_figures import TaskFigures
from catseye.progress import Progress, silent

Make = Callable[[Sequence[str]], bytes]
"""The graph in which these layers are float."""

Measure = Callable[[bytes], TaskFigures]

Judge = Callable[[TaskFigures], Judgement]


@dataclass(frozen=True)
class Attempt:
    """A graph that was measured.

    Args:
        moved: the layers that are float in it.
        graph: serialised ONNX.
    """

    moved: tuple[str, ...]
    graph: bytes
    figures: TaskFigures
    judgement: Judgement


@dataclass(frozen=True)
class FloatSearch:
    """What came of it; true where a graph keeps the budget.

    Args:
        best: the one with the fewest float layers that keeps it, or else the last one tried.
        measured: how many graphs were measured.
        reason: one line.
    """

    best: Attempt
    measured: int
    reason: str

    def __bool__(self) -> bool:
        return bool(self.best.judgement)


def back_to_float(
    order: Callable[[], Sequence[str]],
    *,
    make: Make,
    measure: Measure,
    judge: Judge,
    most: int | None = None,
    progress: Progress = silent,
) -> FloatSearch:
    """Move layers back to float until the budget is kept.

    None at first, then one, two, four … of the most sensitive; once that is enough, the least number between
    the last two is found by halving. So about 2·log₂(n) graphs are measured instead of n. That more float
    loses less is taken for granted in choosing what to try, never in what is returned: that was measured.

    Args:
        order: gives the layers, the most sensitive first; asked for only where moving none is not enough.
        make, measure, judge: what gives a graph, its figures, and whether they keep the budget.
        most: layers beyond which the precision is given up, since it would gain too little; None for all.
    """
    measured = 0

    def attempt(moved: Sequence[str]) -> Attempt:
        nonlocal measured
        graph = make(moved)
        figures = measure(graph)
        measured += 1
        progress("graphs measured", measured, measured)
        return Attempt(tuple(moved), graph, figures, judge(figures))

    best = attempt(())
    if not best.judgement and most != 0:
        layers = order()[:most]
        failed = 0
        while not best.judgement and failed < len(layers):
            best = attempt(layers[: max(1, 2 * failed)])
            failed = failed if best.judgement else len(best.moved)
        while best.judgement and len(best.moved) - failed > 1:
            middle = attempt(layers[: (failed + len(best.moved)) // 2])
            if middle.judgement:
                best = middle
            else:
                failed = len(middle.moved)
    moved = f"; {len(best.moved)} layers are back in float" if best.moved else ""
    return FloatSearch(best, measured, f"{best.judgement.reason}{moved}")
