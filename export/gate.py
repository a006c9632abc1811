"""Whether a graph of another precision still does the work well enough: what it loses, held to a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from catseye.errors import UsageError
from catseye.export.task_figures import TaskFigures

_POINTS = 100
_AP = {"ap": "AP", "ap50": "AP50", "ap50_h10": "AP50 from 10 px", "ap50_h20": "AP50 from 20 px"}
_DEPTH = {"depth_absrel": "AbsRel", "depth_absrel_raw": "AbsRel in metres"}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a precision may lose.

    Args:
        ap_points: of AP, of AP50 and of AP50 from each height on, in hundredths.
        abs_rel: of AbsRel where depth has a truth; else mean relative difference from the reference's depth.
        rank1_points: of rank-1, in hundredths.

    Raises:
        UsageError: one of them is not a number from 0 on.
    """

    ap_points: float = 1.0
    abs_rel: float = 0.02
    rank1_points: float = 2.0

    def __post_init__(self) -> None:
        for name in ("ap_points", "abs_rel", "rank1_points"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"budget {name} is {getattr(self, name)}: give 0 or more")


@dataclass(frozen=True)
class Judgement:
    """Whether a precision keeps the budget; true where it does.

    Args:
        within: whether it does. Where nothing was measured there is nothing against it, and ``reason`` says
            so.
        reason: one line, with the figures.
        losses: what it loses, by the names of ``TaskFigures.values``, in their units; below 0 is a gain.
    """

    within: bool
    reason: str
    losses: Mapping[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.within


@dataclass(frozen=True)
class _Loss:
    name: str
    value: float
    limit: float
    text: str

    @property
    def over(self) -> bool:
        return not self.value <= self.limit  # what is no number is over


def judge(reference: TaskFigures, found: TaskFigures, budget: Budget) -> Judgement:
    """Hold what ``found`` loses against ``reference`` to a budget, both measured on the same frames.

    Each figure of the reference is asked for, and one that is absent or no number is beyond any budget. Depth
    is held to a truth where there is one, and to the reference's depth otherwise.
    """
    losses = [*_ap_losses(reference, found, budget), *_depth_losses(reference, found, budget)]
    if "rank1" in reference.values:
        value = _loss(reference, found, "rank1")
        text = f"rank-1 {_points(value)} points"
        losses.append(_Loss("rank1", value, budget.rank1_points / _POINTS, text))
    if not losses:
        return Judgement(True, "no task metric was measured")
    over = [loss for loss in losses if loss.over]
    told = ", ".join(loss.text for loss in over or losses)
    return Judgement(
        within=not over,
        reason=f"{'over' if over else 'within'} budget: {told}; measured on {_counted(found)}",
        losses={loss.name: loss.value for loss in losses},
    )


def _points(loss: float) -> str:
    """What is gained, in hundredths; no gain and no loss is +0.0."""
    return f"{round(-_POINTS * loss, 1) + 0.0:+.1f}"


def _loss(reference: TaskFigures, found: TaskFigures, name: str) -> float:
    """How much less, infinitely where it is absent."""
    return reference.values[name] - found.values.get(name, -math.inf)


def _ap_losses(reference: TaskFigures, found: TaskFigures, budget: Budget) -> list[_Loss]:
    error = ap50_loss_error(reference, found)
    losses = []
    for name, title in _AP.items():
        if name in reference.values:
            value = _loss(reference, found, name)
            margin = f" ± {_POINTS * error:.1f}" if name == "ap50" and error is not None else ""
            text = f"{title} {_points(value)}{margin} points"
            losses.append(_Loss(name, value, budget.ap_points / _POINTS, text))
    return losses


def _depth_losses(reference: TaskFigures, found: TaskFigures, budget: Budget) -> list[_Loss]:
    losses = []
    for name, title in _DEPTH.items():
        if name in reference.values:
            value = found.values.get(name, math.inf) - reference.values[name]
            losses.append(_Loss(name, value, budget.abs_rel, f"{title} {value:+.3f}"))
    change = found.values.get("depth_change")
    # Places where depth is no number are left out of AbsRel, but not of this.
    if change is not None and (not losses or not math.isfinite(change)):
        text = f"depth {change:.1%} from the reference's"
        losses.append(_Loss("depth_change", change, budget.abs_rel, text))
    return losses


def _counted(found: TaskFigures) -> str:
    of = found.counts
    parts = [f"{of['stills']} stills with {of['objects']} objects"] if "stills" in of else []
    frames = of.get("depth_frames", of.get("compared_depth_frames"))
    parts += [f"{frames} frames' depth"] if frames else []
    parts += [f"{of['queries']} vehicles sought again"] if "queries" in of else []
    return ", ".join(parts)


def ap50_loss_error(reference: TaskFigures, found: TaskFigures) -> float | None:
    """Standard error of the loss of AP50, for the choice of stills; None for too few of them.

    By the delete-a-group jackknife (Shao and Wu, 1989) of the difference: since both were measured on the
    same stills, what is hard about a still cancels out.
    """
    before, after = np.array(reference.ap50_without), np.array(found.ap50_without)
    parts = len(before)
    if not parts or len(after) != parts:
        return None
    losses = before - after
    return float(np.sqrt((parts - 1) / parts * np.sum((losses - losses.mean()) ** 2)))
