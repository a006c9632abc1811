"""Tracks as an inline SVG map without tiles: north up, a scale bar, coloured by speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from catseye.capture.inspection.columns import KMH_PER_MPS, SPEED_STEPS_KMH
from catseye.capture.inspection.positions import BREAK_S, Floats, Track, project

MOST_POINTS = 6000
"""Points drawn of all tracks of a map together."""

_STEPS_KMH = SPEED_STEPS_KMH[1:]
_WIDTH, _HIGHEST, _LOWEST = 720.0, 560.0, 200.0
_MARGIN = 24.0
_LEAST_M = 20.0
_UNKNOWN = len(_STEPS_KMH) + 1


def track_map(tracks: Sequence[Track]) -> str:
    """Draw tracks on one map. The page colours ``.v0`` … ``.v5``, slow to fast, and ``.v6``, unknown."""
    places = project(tracks)
    everywhere = np.concatenate(places)
    low, high = everywhere.min(axis=0), everywhere.max(axis=0)
    span = np.maximum(high - low, _LEAST_M)
    scale = min((_WIDTH - 2 * _MARGIN) / span[0], (_HIGHEST - 2 * _MARGIN) / span[1])
    height = max(_LOWEST, span[1] * scale + 2 * _MARGIN)
    middle = (low + high) / 2
    step = -(-len(everywhere) // MOST_POINTS)
    lines: dict[int, list[str]] = {}
    for track, place in zip(tracks, places, strict=True):
        picked = slice(None, None, step)
        x = _WIDTH / 2 + (place[picked, 0] - middle[0]) * scale
        y = height / 2 - (place[picked, 1] - middle[1]) * scale
        for kind, path in _pieces(x, y, _kinds(track.speed_mps[picked]), track.time_s[picked]):
            lines.setdefault(kind, []).append(path)
    drawn = "".join(f'<path class="v{kind}" d="{"".join(paths)}"/>' for kind, paths in sorted(lines.items()))
    return (
        f'<svg class="map" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" '
        f'aria-label="map of the tracks"><g>{drawn}</g>{_scale_bar(scale, height)}'
        f'<text x="{_WIDTH - 14:.0f}" y="22" text-anchor="middle">N</text>'
        f'<path class="bar" d="M{_WIDTH - 14:.0f} 44V28m-4 5l4 -5l4 5"/></svg>'
    )


def speed_names() -> list[str]:
    """What each colour means, in the order of the classes."""
    steps = _STEPS_KMH
    between = [f"{low}–{high}" for low, high in pairwise(steps)]
    return [f"under {steps[0]} km/h", *between, f"over {steps[-1]}", "speed not known"]


def _kinds(speed_mps: Floats) -> NDArray[np.int64]:
    kinds = np.digitize(speed_mps * KMH_PER_MPS, _STEPS_KMH)
    return np.where(np.isfinite(speed_mps), kinds, _UNKNOWN)


def _pieces(x: Floats, y: Floats, kinds: NDArray[np.int64], time_s: Floats) -> list[tuple[int, str]]:
    """Lines of one colour; each begins where the one before it ended, but for a gap in time."""
    steps_s = np.diff(time_s)
    gap_s = max(BREAK_S, 4 * float(np.median(steps_s)) if len(steps_s) else 0.0)
    torn = steps_s > gap_s
    cuts = np.flatnonzero(torn | (np.diff(kinds) != 0)) + 1
    pieces = []
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(x)], strict=True):
        first = start - 1 if start and not torn[start - 1] else start
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(x[first:stop], y[first:stop], strict=True)]
        # A point by itself is a line so short that its round ends make a dot.
        path = f"M{points[0]}h.1" if len(points) == 1 else "M" + "L".join(points)
        pieces.append((int(kinds[start]), path))
    return pieces


def _scale_bar(scale: float, height: float) -> str:
    """A bar of a round length, about a quarter of the map's width."""
    longest_m = _WIDTH / 4 / scale
    magnitude = 10.0 ** math.floor(math.log10(longest_m))
    length_m = max(step * magnitude for step in (1, 2, 5) if step * magnitude <= longest_m)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    x, y = 14.0, height - 14
    return (
        f'<path class="bar" d="M{x:.1f} {y - 5:.1f}v5h{length_m * scale:.1f}v-5"/>'
        f'<text x="{x + 4:.1f}" y="{y - 5:.1f}">{text}</text>'
    )
