"""Comparing predicted depth with measured depth, and with knowing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAREST_M, FARTHEST_M = 1.0, 80.0
"""Depths compared, in metres, as is usual since Eigen et al., NeurIPS 2014."""

_FACTORS = np.geomspace(0.1, 2, 200)


@dataclass(frozen=True)
class DepthPair:
    """Predicted and true camera depth (h, w) of one frame at the same places; NaN where either has none."""

    predicted: NDArray[np.float32]
    true: NDArray[np.float32]


def depth_figures(pairs: Sequence[DepthPair], *, metric: bool) -> dict[str, float]:
    """Absolute relative errors, each the mean over frames.

    Returns:
        ``depth_absrel``: scaled by the medians, frame by frame. Beside it what is to be beaten, with the same
        medians known: ``depth_absrel_constant``, the best constant (each frame's true median times the one
        factor that serves all frames best); ``depth_absrel_mean_map``, the best map that is the same for all
        frames but for its scale: the median over these very frames, place by place. Where depth is
        ``metric`` also ``depth_absrel_raw`` and ``depth_scale_error``, |1 − s| of the median scale s.
    """
    pairs = [DepthPair(pair.predicted, _comparable(pair.true)) for pair in pairs]
    pairs = [pair for pair in pairs if _known(pair).sum() >= 100]
    if not pairs:
        return {}
    scales = [float(np.median(p.true[_known(p)]) / np.median(p.predicted[_known(p)])) for p in pairs]
    relative = np.stack([pair.true / np.nanmedian(pair.true[_known(pair)]) for pair in pairs])
    constants = [float(np.mean([_absrel(np.full_like(r, f), r) for r in relative])) for f in _FACTORS]
    places = np.isfinite(relative).any(axis=0)
    mean_map = np.full(relative.shape[1:], np.nan, dtype=np.float32)
    mean_map[places] = np.nanmedian(relative[:, places], axis=0)
    figures = {
        "depth_absrel": _mean_absrel([(s * p.predicted, p.true) for s, p in zip(scales, pairs, strict=True)]),
        "depth_absrel_constant": min(constants),
        "depth_absrel_mean_map": _mean_absrel([(mean_map, r) for r in relative]),
    }
    if metric:
        figures["depth_absrel_raw"] = _mean_absrel([(p.predicted, p.true) for p in pairs])
        figures["depth_scale_error"] = abs(1 - float(np.median(scales)))
    return figures


def _comparable(true: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        return np.where((true >= NEAREST_M) & (true <= FARTHEST_M), true, np.nan).astype(np.float32)


def _known(pair: DepthPair) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(pair.true) & np.isfinite(pair.predicted))


def _absrel(predicted: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    return float(np.nanmean(np.abs(predicted - true) / true))


def _mean_absrel(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> float:
    return float(np.mean([_absrel(predicted, true) for predicted, true in pairs]))
