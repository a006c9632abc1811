"""What is exported, compiled by the real TensorRT with no GPU."""

from __future__ import annotations

import importlib.util

import pytest

from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.pretrain.detector import Detector
from catseye.runtime.build import build
from catseye.runtime.bundle import Bundle, Colour, Network
from catseye.runtime.plan import AHEAD_OF_TIME, build_plan

from .conftest import HEIGHT, NV12_COLOUR, WIDTH

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


@pytest.mark.parametrize("name", ["exported", "exported_nv12"])
def test_exported_graph_compiles_for_each_gpu(name: str, request: pytest.FixtureRequest) -> None:
    exported: Bundle = request.getfixturevalue(name)
    reports = build(exported.path, ahead_of_time=True)
    assert [report.compute_capabilities for report in reports] == [(name,) for name in AHEAD_OF_TIME]
    weights = len(exported.graph())
    for report in reports:
        assert report.backend == "tensorrt-rtx"
        assert report.layers > 50
        assert report.size > weights / 2


@pytest.mark.parametrize(("colour", "batch"), [(None, 2), (NV12_COLOUR, 1)], ids=["rgb8", "nv12"])
def test_the_other_batch_of_each_input_compiles_too(
    detector: Detector, colour: Colour | None, batch: int
) -> None:
    layout = "rgb8" if colour is None else "nv12"
    network = Network(width=WIDTH, height=HEIGHT, batch=batch, input=layout, colour=colour)
    graph = export_onnx(DeployedGraph(detector, top_k=20, colour=colour), network).deployed
    for capability in AHEAD_OF_TIME:
        plan = build_plan(graph, backend="tensorrt-rtx", compute_capabilities=[capability])
        assert plan.report.layers > 50
