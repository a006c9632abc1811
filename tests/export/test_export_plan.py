"""What is exported, compiled by the real TensorRT with no GPU."""

from __future__ import annotations

import importlib.util

import pytest

from catseye.runtime.build import compile_ahead_of_time
from catseye.runtime.bundle import Bundle
from catseye.runtime.plan import AHEAD_OF_TIME

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


def test_exported_graph_compiles_for_each_gpu(exported: Bundle) -> None:
    reports = compile_ahead_of_time(exported.path)
    assert [report.compute_capabilities for report in reports] == [(name,) for name in AHEAD_OF_TIME]
    weights = len(exported.graph())
    for report in reports:
        assert report.backend == "tensorrt-rtx"
        assert report.layers > 50
        assert report.size > weights / 2
