"""Every graph that we export holds only what the documents of TensorRT 10.3 and 11 list."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from tensorrt_operators import LISTS, refusals

from catseye.runtime.bundle import Bundle
from catseye.runtime.onnx_operators import OPERATORS
from catseye.runtime.precision import PRECISIONS


@pytest.mark.parametrize("release", LISTS)
@pytest.mark.parametrize("name", ["exported", "exported_nv12"])
def test_exported_graphs_hold_only_what_is_listed(
    name: str, release: str, request: pytest.FixtureRequest
) -> None:
    exported: Bundle = request.getfixturevalue(name)
    assert exported.manifest.precisions == PRECISIONS
    for precision in PRECISIONS:
        assert refusals(exported.graph(precision), release) == [], precision


@pytest.mark.parametrize("release", LISTS)
def test_what_our_reader_lets_into_a_bundle_is_listed(release: str) -> None:
    assert set(OPERATORS) <= set(LISTS[release])


def test_what_is_not_listed_is_told() -> None:
    """Transposed bytes, computed K, an antialiased Resize and integers raised to a power."""
    nodes = [
        helper.make_node("Transpose", ["frames"], ["planes"], name="transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["levels"], name="cast", to=TensorProto.FLOAT),
        helper.make_node(
            "Resize", ["levels", "", "half"], ["small"], name="resize", mode="linear", antialias=1
        ),
        helper.make_node("Pow", ["k", "k"], ["squared"], name="pow"),
        helper.make_node("TopK", ["small", "squared"], ["best", "at"], name="top"),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 8, 8, 3))],
        [helper.make_tensor_value_info("best", TensorProto.FLOAT, (1, 3, 4, 1))],
        [
            helper.make_tensor("k", TensorProto.INT64, [1], [1]),
            helper.make_tensor("half", TensorProto.FLOAT, [4], [1, 1, 0.5, 0.5]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    found = refusals(model.SerializeToString(), "10.3")
    assert [line.split(":")[0] for line in found[:-1]] == ["transpose", "resize", "pow", "top"]
    assert found[-1] == "planes is UINT8 within the graph"
    assert not any(line.startswith("pow") for line in refusals(model.SerializeToString(), "11.2"))
