"""Detection from few labels as tables: means over seeds, and gains over training from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catseye.pretrain.evaluation.summary import FewLabelCase, FewLabels

MEASURES = {
    "ap50": "AP50, all",
    "ap50_h10": "AP50, height ≥ 10 px",
    "ap50_h20": "AP50, height ≥ 20 px",
}


@dataclass(frozen=True)
class Cell:
    """One measure of one start with one number of stills, over S ≥ 1 seeds.

    Args:
        start: name of what all began with.
        values: (S,) by seed.
        gains: pairs of a seed's value and that of training from scratch with the same encoder, stills and
            seed, where that is done too; empty for scratch itself.
    """

    start: str
    stills: int
    values: tuple[float, ...]
    gains: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None of a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + ("" if self.spread is None else f" ± {self.spread:.3f}")

    @property
    def gain(self) -> str:
        """How much better than scratch, and in how many seeds; empty where there is nothing to compare."""
        if not self.gains:
            return ""
        value, scratch = np.mean(np.array(self.gains), axis=0)
        wins = sum(ours > theirs for ours, theirs in self.gains)
        times = f"{value / scratch:.2f} ×, " if scratch > 0 else ""
        return f"{times}{value - scratch:+.3f}, better in {wins} of {len(self.gains)}"


def cells_of(few: FewLabels, measure: str) -> dict[str, dict[int, Cell]]:
    """Cells by start and number of stills, in the order of the cases."""
    scratch = {
        (case.encoder, case.stills, case.seed): case.figures[measure]
        for case in few.cases
        if not case.pretrained and measure in case.figures
    }
    grouped: dict[str, dict[int, list[FewLabelCase]]] = {}
    for case in few.cases:
        if measure in case.figures:
            grouped.setdefault(case.start, {}).setdefault(case.stills, []).append(case)
    return {
        start: {
            stills: _cell(start, stills, cases, measure, scratch)
            for stills, cases in sorted(by_stills.items())
        }
        for start, by_stills in grouped.items()
    }


def stills_of(few: FewLabels) -> list[int]:
    """The numbers of stills that cases learned from, the fewest first."""
    return sorted({case.stills for case in few.cases})


def few_label_rows(few: FewLabels) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines for a terminal."""
    numbers = stills_of(few)
    lines = []
    for measure, title in MEASURES.items():
        for start, cells in cells_of(few, measure).items():
            shown = [_shown(cells.get(number)) for number in numbers]
            lines.append((f"{title}: {start}", *shown))
    for start in dict.fromkeys(case.start for case in few.cases if case.failed):
        failed = [case.stills for case in few.cases if case.failed and case.start == start]
        lines.append((f"failed: {start}", *(str(failed.count(number)) for number in numbers)))
    return ("few labels", *(_counted(number) for number in numbers)), lines


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"{cell} ({cell.gain})" if cell.gain else str(cell)


def _counted(stills: int) -> str:
    return f"{stills:,} {'still' if stills == 1 else 'stills'}"


def _cell(
    start: str,
    stills: int,
    cases: Sequence[FewLabelCase],
    measure: str,
    scratch: dict[tuple[str, int, int], float],
) -> Cell:
    pairs = [(case.figures[measure], scratch.get((case.encoder, stills, case.seed))) for case in cases]
    gains = [
        (value, base)
        for (value, base), case in zip(pairs, cases, strict=True)
        if case.pretrained and base is not None
    ]
    return Cell(start, stills, tuple(value for value, _ in pairs), tuple(gains))
