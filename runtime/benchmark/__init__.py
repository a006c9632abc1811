"""``bench``: what a bundle takes on this machine, and how far the figures can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.runtime.benchmark.measuring import bench
    from catseye.runtime.benchmark.rendered_clip import render
    from catseye.runtime.benchmark.report import BenchReport

__all__ = ["BenchReport", "bench", "render"]

__getattr__ = lazily(__name__, {"BenchReport": "report", "bench": "measuring", "render": "rendered_clip"})
