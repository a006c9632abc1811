"""Line charts and histograms as inline SVG, for reports that are one file and need no script.

Text takes the colour of what surrounds it, so that a page may be light or dark; a page may set its own
``--chart-0`` … ``--chart-5`` for the colours of the series.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

Series = Sequence[tuple[float, float]]

_COLORS = tuple(
    f"var(--chart-{number},{color})"
    for number, color in enumerate(("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"))
)
_WIDTH, _HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 24, 28


def line_chart(
    title: str,
    series: Mapping[str, Series],
    *,
    x_label: str,
    x_text: Callable[[float], str] = "{:.6g}".format,
) -> str:
    """Draw named series of (x, y) points; points that are not finite are left out.

    Names stand in the upper corner that the lines leave free: the right one, or the left where they rise.

    Args:
        x_text: how a place on the axis is written, such as 10^x where the points' x are logarithms.

    Returns:
        An ``<svg>`` element, or an empty string where no point is left.
    """
    kept = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()}
    kept = {name: points for name, points in kept.items() if points}
    if not kept:
        return ""
    xs = [x for points in kept.values() for x, _ in points]
    ys = [y for points in kept.values() for _, y in points]
    x_range, y_range = _range(xs), _range(ys)
    parts = [f'<text x="{_LEFT}" y="15" font-weight="bold">{html.escape(title)}</text>']
    parts += _axes(x_range, y_range, x_label, x_text)
    rising = sum(points[-1][1] - points[0][1] for points in kept.values()) > 0
    corner, anchor = (_LEFT + 6, "start") if rising else (_WIDTH - _RIGHT, "end")
    for number, (name, points) in enumerate(kept.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{_x(x, x_range):.1f},{_y(y, y_range):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{corner}" y="{_TOP + 12 + 13 * number}" text-anchor="{anchor}" '
            f'fill="{color}">{html.escape(name)}</text>'
        )
    return _svg(parts)


def histogram(
    title: str, edges: Sequence[float], stacks: Mapping[str, Sequence[float]], *, x_label: str, y_label: str
) -> str:
    """Draw bars between edges, the named heights of each one upon the other.

    Args:
        edges: (B + 1,) rising.
        stacks: (B,) heights from 0 by name, the lowest first.

    Returns:
        An ``<svg>`` element, or an empty string where all heights are 0.
    """
    tops = [sum(heights) for heights in zip(*stacks.values(), strict=True)]
    if not any(tops):
        return ""
    x_range, y_range = (edges[0], edges[-1]), (0.0, max(tops))
    name = f'<tspan font-weight="bold">{html.escape(title)}</tspan>, {html.escape(y_label)}'
    parts = [f'<text x="{_LEFT}" y="15">{name}</text>', *_axes(x_range, y_range, x_label, "{:.6g}".format)]
    below = [0.0] * len(tops)
    for number, (name, heights) in enumerate(stacks.items()):
        above = [base + height for base, height in zip(below, heights, strict=True)]
        bars = "".join(
            f"M{_x(edges[i], x_range) + 0.5:.1f} {_y(below[i], y_range):.1f}V{_y(above[i], y_range):.1f}"
            f"H{_x(edges[i + 1], x_range) - 0.5:.1f}V{_y(below[i], y_range):.1f}z"
            for i, height in enumerate(heights)
            if height > 0
        )
        if bars:
            parts.append(f'<path d="{bars}" fill="{_COLORS[number % len(_COLORS)]}"/>')
            parts.append(
                f'<text x="{_WIDTH - _RIGHT}" y="{15 + 13 * number}" text-anchor="end" '
                f'fill="{_COLORS[number % len(_COLORS)]}">{html.escape(name)}</text>'
            )
        below = above
    return _svg(parts)


def _svg(parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def smoothed(points: Series, *, window: int) -> list[tuple[float, float]]:
    """Trailing mean over at most ``window`` points."""
    values = [y for _, y in points]
    means = []
    for number, (x, _) in enumerate(points):
        recent = values[max(0, number + 1 - window) : number + 1]
        means.append((x, sum(recent) / len(recent)))
    return means


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _x(value: float, limits: tuple[float, float]) -> float:
    return _LEFT + (value - limits[0]) / (limits[1] - limits[0]) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, limits: tuple[float, float]) -> float:
    return _HEIGHT - _BOTTOM - (value - limits[0]) / (limits[1] - limits[0]) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
    x_text: Callable[[float], str],
) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    lines = [
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" stroke="#888"/>',
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{html.escape(x_label)}</text>",
    ]
    for fraction, anchor in ((0.0, "middle"), (0.5, "middle"), (1.0, "end")):
        value = y_range[0] + fraction * (y_range[1] - y_range[0])
        y = _y(value, y_range)
        lines.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        x_value = x_range[0] + fraction * (x_range[1] - x_range[0])
        x = _x(x_value, x_range)
        lines.append(f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="{anchor}">{x_text(x_value)}</text>')
    return lines
