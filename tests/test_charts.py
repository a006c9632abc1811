"""Charts place their points where the numbers say."""

from __future__ import annotations

import re

from catseye.charts import line_chart, smoothed


def test_polyline_goes_through_the_corners_of_the_plot() -> None:
    svg = line_chart("loss", {"depth": [(0, 1.0), (10, 3.0)]}, x_label="step")
    (points,) = re.findall(r'<polyline points="([^"]+)"', svg)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points.split())
    assert x0 < x1
    assert y0 > y1  # larger values are further up


def test_points_that_are_not_finite_are_left_out() -> None:
    assert line_chart("loss", {"depth": [(0, float("nan"))]}, x_label="step") == ""
    svg = line_chart("loss", {"depth": [(0, 1.0), (1, float("inf")), (2, 2.0)]}, x_label="step")
    assert "inf" not in svg and "nan" not in svg


def test_names_are_escaped() -> None:
    assert "<b>" not in line_chart("<b>", {"<b>": [(0, 1.0)]}, x_label="<b>")


def test_smoothed_is_a_trailing_mean() -> None:
    assert smoothed([(0, 0.0), (1, 2.0), (2, 4.0)], window=2) == [(0, 0.0), (1, 1.0), (2, 3.0)]
