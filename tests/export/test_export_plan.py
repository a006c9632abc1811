"""What is exported, compiled by the real TensorRT with no GPU."""

from __future__ import annotations

import importlib.util
from typing import cast

import pytest
from torch import Tensor, nn

from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import export_onnx
from catseye.pretrain.detector import DenseOutputs, Detector
from catseye.runtime.build import compile_ahead_of_time
from catseye.runtime.bundle import Bundle
from catseye.runtime.manifest import Colour, Network
from catseye.runtime.plan import AHEAD_OF_TIME, build_plan

from .conftest import HEIGHT, NV12_COLOUR, WIDTH

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


@pytest.mark.parametrize("name", ["exported", "exported_nv12"])
def test_exported_graph_compiles_for_each_gpu(name: str, request: pytest.FixtureRequest) -> None:
    """In every precision."""
    exported: Bundle = request.getfixturevalue(name)
    reports = compile_ahead_of_time(exported.path)
    assert exported.manifest.precisions == ("fp32", "fp16", "int8")
    assert [report.compute_capabilities for report in reports] == [(name,) for name in AHEAD_OF_TIME] * 3
    sizes = {}
    for precision, report in zip(("fp32", "fp16", "int8"), reports[::2], strict=True):
        assert (report.backend, report.precision) == ("tensorrt-rtx", precision)
        assert report.layers > 50
        assert report.size > len(exported.graph(precision)) / 2
        sizes[precision] = report.size
    # A builder that ignored the types would keep float32 weights.
    assert sizes["int8"] < sizes["fp16"] < 0.7 * sizes["fp32"]


class OneConvolution(nn.Module):
    """The heads of a detector and next to nothing before them: it takes a fraction of the time to export."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 4, stride=4)

    def forward(self, rgb: Tensor) -> DenseOutputs:
        found = self.stem(rgb)
        return DenseOutputs(found[:, :2], found[:, 2:6].exp(), found[:, 6:11], found[:, 11])


@pytest.mark.parametrize(("colour", "batch"), [(None, 2), (NV12_COLOUR, 1)], ids=["rgb8", "nv12"])
def test_the_other_batch_of_each_input_compiles_too(colour: Colour | None, batch: int) -> None:
    """By what differs: a fixture's network was compiled with a batch of its own above."""
    layout = "rgb8" if colour is None else "nv12"
    network = Network(width=WIDTH, height=HEIGHT, batch=batch, input=layout, colour=colour)
    detector = cast("Detector", OneConvolution())
    graph = export_onnx(DeployedGraph(detector, top_k=20, colour=colour), network).deployed
    for capability in AHEAD_OF_TIME:
        plan = build_plan(graph, backend="tensorrt-rtx", compute_capabilities=[capability])
        assert plan.report.layers > 20
