"""What is exported, compiled by the real TensorRT with no GPU."""

from __future__ import annotations

import importlib.util

import pytest

from catseye.runtime.build import build
from catseye.runtime.bundle import Bundle
from catseye.runtime.plan import AHEAD_OF_TIME

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


def test_exported_graph_compiles_for_each_gpu(exported: Bundle) -> None:
    """In every precision."""
    reports = build(exported.path, ahead_of_time=True)
    assert exported.manifest.precisions == ("fp32", "fp16", "int8")
    assert [report.compute_capabilities for report in reports] == [(name,) for name in AHEAD_OF_TIME] * 3
    sizes = {}
    for precision, report in zip(("fp32", "fp16", "int8"), reports[::2], strict=True):
        assert report.backend == "tensorrt-rtx"
        assert report.layers > 50
        assert report.size > len(exported.graph(precision)) / 2
        sizes[precision] = report.size
    # A builder that ignored the types would keep float32 weights.
    assert sizes["int8"] < sizes["fp16"] < 0.7 * sizes["fp32"]
