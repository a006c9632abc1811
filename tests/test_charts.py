"""Charts place their points where the numbers say."""

from __future__ import annotations

import re

from catseye.charts import histogram, line_chart, smoothed


def test_polyline_goes_through_the_corners_of_the_plot() -> None:
    svg = line_chart("loss", {"depth": [(0, 1.0), (10, 3.0)]}, x_label="step")
    (points,) = re.findall(r'<polyline points="([^"]+)"', svg)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points.split())
    assert x0 < x1
    assert y0 > y1  # larger values are further up


def test_names_stand_where_the_lines_are_not() -> None:
    falling, rising = (
        line_chart("loss", {"depth": points}, x_label="step", x_text=lambda x: f"10^{x:g}")
        for points in ([(0, 3.0), (2, 1.0)], [(0, 1.0), (2, 3.0)])
    )
    right, left = (
        float(re.findall(r'<text x="([\d.]+)"[^>]*>depth</text>', svg)[0]) for svg in (falling, rising)
    )
    assert left < 210 < right
    assert all(f">10^{x}</text>" in rising for x in (0, 1, 2))


def test_points_that_are_not_finite_are_left_out() -> None:
    assert line_chart("loss", {"depth": [(0, float("nan"))]}, x_label="step") == ""
    svg = line_chart("loss", {"depth": [(0, 1.0), (1, float("inf")), (2, 2.0)]}, x_label="step")
    assert "inf" not in svg and "nan" not in svg


def test_names_are_escaped() -> None:
    assert "<b>" not in line_chart("<b>", {"<b>": [(0, 1.0)]}, x_label="<b>")


def test_smoothed_is_a_trailing_mean() -> None:
    assert smoothed([(0, 0.0), (1, 2.0), (2, 4.0)], window=2) == [(0, 0.0), (1, 1.0), (2, 3.0)]


def test_bars_stand_on_each_other_and_are_as_high_as_they_say() -> None:
    svg = histogram(
        "speed", [0, 10, 20], {"usable": [1.0, 3.0], "set aside": [1.0, 1.0]}, x_label="km/h", y_label="hours"
    )
    lower, upper = re.findall(r'<path d="([^"]+)" fill="var', svg)
    bars = [re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", path) for path in (lower, upper)]
    heights = [[float(base) - float(top) for base, top in stack] for stack in bars]
    assert heights[0][1] == 3 * heights[0][0] > 0
    assert bars[1][0][0] == bars[0][0][1]


def test_a_histogram_of_nothing_is_not_drawn() -> None:
    assert histogram("speed", [0, 1], {"usable": [0.0]}, x_label="", y_label="") == ""
    assert "<b>" not in histogram("<b>", [0, 1], {"<b>": [1.0]}, x_label="<b>", y_label="<b>")
