"""Faults of a graph's structure: shapes, types, names, order, and what it keeps elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import TensorProto, helper

from hostile.sound_bundle import sound_graph

Spoil = Callable[[onnx.ModelProto], object]


def spoilt_graphs() -> Iterator[tuple[str, Spoil]]:
    yield from _shapes_and_types()
    yield from _elsewhere()
    yield from _nesting()
    yield from _order()
    yield from _names_and_versions()


def _shapes_and_types() -> Iterator[tuple[str, Spoil]]:
    for name, dims in {
        "10 GB": [10, 1024, 1024, 256],
        "2^126 items": [2**62, 2**62, 4],
        "product 2^64": [2**32, 2**32],
        "product 2^64 and a little": [2**32, 2**32, 1, 0x10001],
        "negative": [-2, -3],
        "two negative": [-8, -3, 3, 3],
        "least integer": [-(2**63)],
        "empty": [0],
        "empty and huge": [0, 2**62],
        "100 dimensions": [1] * 100,
        "10,000 dimensions": [1] * 10_000,
        "one more": [8, 3, 3, 4],
        "one less": [8, 3, 3, 2],
        "none": [],
        "others of the same size": [3, 8, 3, 3],
    }.items():
        yield (
            f"weight's shape: {name}",
            lambda m, dims=dims: m.graph.initializer[0].dims.__setitem__(slice(None), dims),
        )
    for data_type in (0, 3, 8, 10, 11, 14, 15, 17, 21, 99, -1, 2**31 - 1):
        yield (
            f"weight's type {data_type}",
            lambda m, t=data_type: setattr(m.graph.initializer[0], "data_type", t),
        )
        yield (
            f"input's type {data_type}",
            lambda m, t=data_type: setattr(m.graph.input[0].type.tensor_type, "elem_type", t),
        )
    for size in (0, -1, 2, 2**31, 2**40, 2**62, 2**63 - 1):
        for field in ("input", "output", "value_info"):

            def resize(m: onnx.ModelProto, field: str = field, size: int = size) -> None:
                getattr(m.graph, field)[0].type.tensor_type.shape.dim[1].dim_value = size

            yield f"{field}'s size {size}", resize
    for field in ("input", "output", "value_info"):

        def name_size(m: onnx.ModelProto, field: str = field) -> None:
            getattr(m.graph, field)[0].type.tensor_type.shape.dim[0].dim_param = "batch"

        def forget_shape(m: onnx.ModelProto, field: str = field) -> None:
            getattr(m.graph, field)[0].type.tensor_type.ClearField("shape")

        def forget_type(m: onnx.ModelProto, field: str = field) -> None:
            getattr(m.graph, field)[0].ClearField("type")

        def other_type(m: onnx.ModelProto, field: str = field) -> None:
            getattr(m.graph, field)[0].type.tensor_type.elem_type = TensorProto.DOUBLE

        def sequence(m: onnx.ModelProto, field: str = field) -> None:
            value = getattr(m.graph, field)[0]
            value.CopyFrom(helper.make_tensor_sequence_value_info(value.name, TensorProto.FLOAT, (2, 3)))

        def optional(m: onnx.ModelProto, field: str = field) -> None:
            value = getattr(m.graph, field)[0]
            value.type.CopyFrom(helper.make_optional_type_proto(value.type))

        def mapping(m: onnx.ModelProto, field: str = field) -> None:
            value = getattr(m.graph, field)[0]
            value.type.CopyFrom(helper.make_map_type_proto(TensorProto.INT64, value.type))

        def sparse(m: onnx.ModelProto, field: str = field) -> None:
            value = getattr(m.graph, field)[0]
            value.CopyFrom(helper.make_sparse_tensor_value_info(value.name, TensorProto.FLOAT, (2, 3)))

        for name, spoil in (
            ("named size", name_size),
            ("no shape", forget_shape),
            ("no type", forget_type),
            ("another type", other_type),
            ("a sequence", sequence),
            ("an optional", optional),
            ("a map", mapping),
            ("sparse", sparse),
        ):
            yield f"{field}: {name}", spoil


def _elsewhere() -> Iterator[tuple[str, Spoil]]:
    """External data in every way that ONNX has."""
    for location in (
        "/etc/passwd",
        "../../secret",
        "weights.bin",
        "",
        "/dev/zero",
        "/proc/self/mem",
        "file:///etc/passwd",
        "http://10.0.0.1/x",
    ):

        def outside(m: onnx.ModelProto, location: str = location) -> None:
            weight = m.graph.initializer[0]
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=location)

        def beside(m: onnx.ModelProto, location: str = location) -> None:
            m.graph.initializer[0].external_data.add(key="location", value=location)

        def in_attribute(m: onnx.ModelProto, location: str = location) -> None:
            tensor = TensorProto(data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
            tensor.external_data.add(key="location", value=location)
            m.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))

        for name, spoil in (
            ("weight", outside),
            ("weight that is here too", beside),
            ("constant", in_attribute),
        ):
            yield f"{name} in {location!r}", spoil

    def huge_offset(m: onnx.ModelProto) -> None:
        for key, value in (
            ("location", "x"),
            ("offset", str(2**63)),
            ("length", str(10 << 30)),
            ("checksum", "0"),
        ):
            m.graph.initializer[0].external_data.add(key=key, value=value)

    yield "weight of 10 GB in a file", huge_offset
    yield "location alone", lambda m: setattr(m.graph.initializer[0], "data_location", TensorProto.EXTERNAL)


def _nesting() -> Iterator[tuple[str, Spoil]]:
    inner = sound_graph().graph

    def deep(depth: int) -> onnx.GraphProto:
        graph = helper.make_graph([], "g", [], [])
        for _ in range(depth):
            node = helper.make_node("If", ["x"], ["y"])
            node.attribute.append(helper.make_attribute("then_branch", graph))
            graph = helper.make_graph([node], "g", [], [])
        return graph

    for depth in (1, 10, 25):
        yield (
            f"graphs {depth} deep",
            lambda m, d=depth: m.graph.node[0].attribute.append(helper.make_attribute("body", deep(d))),
        )
    yield (
        "a graph in an attribute",
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("body", inner)),
    )
    yield (
        "graphs in an attribute",
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("bodies", [inner, inner])),
    )
    yield "a function", lambda m: m.functions.add(name="Relu", domain="")

    def called(m: onnx.ModelProto) -> None:
        m.opset_import.append(helper.make_opsetid("evil", 1))
        m.functions.append(
            helper.make_function(
                "evil",
                "F",
                ["x"],
                ["y"],
                [helper.make_node("F", ["x"], ["y"], domain="evil")],
                m.opset_import,
            )
        )
        m.graph.node[0].op_type, m.graph.node[0].domain = "F", "evil"

    yield "a function that calls itself", called
    yield (
        "a function's attribute",
        lambda m: m.graph.node[0].attribute.add(name="to", type=2, ref_attr_name="x"),
    )
    yield "a training graph", lambda m: m.training_info.add()
    yield "sparse weight", lambda m: m.graph.sparse_initializer.add().dims.extend([10**6, 10**6])

    def sparse_attribute(m: onnx.ModelProto) -> None:
        sparse = helper.make_sparse_tensor(
            helper.make_tensor("v", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [3]), [10**12]
        )
        m.graph.node.insert(0, helper.make_node("Constant", [], ["c"], sparse_value=sparse))

    yield "sparse constant", sparse_attribute
    yield "quantisation notes", lambda m: m.graph.quantization_annotation.add(tensor_name="x")
    yield "device configuration", lambda m: m.configuration.add(name="x", num_devices=10**9)


def _order() -> Iterator[tuple[str, Spoil]]:
    for index in range(0, len(sound_graph().graph.node), 4):

        def cyclic(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].input[0] = m.graph.node[-1].output[0]

        def itself(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].input[0] = m.graph.node[index].output[0]

        def nothing(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].input[0] = "nothing"

        def left_out(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].input[0] = ""

        def overwrites(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].output[0] = "frames"

        def weight(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node[index].output[0] = "w1"

        def twice(m: onnx.ModelProto, index: int = index) -> None:
            m.graph.node.insert(index, m.graph.node[index])

        def gone(m: onnx.ModelProto, index: int = index) -> None:
            del m.graph.node[index]

        for name, spoil in (
            ("reads the last", cyclic),
            ("reads itself", itself),
            ("reads nothing", nothing),
            ("reads no input", left_out),
            ("makes the input", overwrites),
            ("makes a weight", weight),
            ("twice", twice),
            ("gone", gone),
        ):
            yield f"node {index}: {name}", spoil

    def backwards(m: onnx.ModelProto) -> None:
        nodes = list(m.graph.node)[::-1]
        del m.graph.node[:]
        m.graph.node.extend(nodes)

    yield "nodes backwards", backwards
    yield "no nodes", lambda m: m.graph.node.__delitem__(slice(None))
    yield "20,001 nodes", lambda m: m.graph.node.extend([helper.make_node("Relu", ["levels"], [""])] * 20_001)
    yield (
        "a node of 5,000 inputs",
        lambda m: m.graph.node.append(helper.make_node("Max", ["levels"] * 5000, ["z"])),
    )
    yield (
        "a node of 5,000 outputs",
        lambda m: m.graph.node.append(helper.make_node("Split", ["levels"], [f"z{i}" for i in range(5000)])),
    )
    yield "a weight twice", lambda m: m.graph.initializer.append(m.graph.initializer[0])
    yield (
        "a weight that is an input",
        lambda m: m.graph.input.append(helper.make_tensor_value_info("w1", 1, (8, 3, 3, 3))),
    )
    yield "an input more", lambda m: m.graph.input.append(helper.make_tensor_value_info("more", 1, (1,)))
    yield "no input", lambda m: m.graph.input.__delitem__(slice(None))
    yield (
        "an output more",
        lambda m: m.graph.output.append(helper.make_tensor_value_info("best", 1, (1, 6468))),
    )
    yield "an output fewer", lambda m: m.graph.output.__delitem__(0)
    yield (
        "outputs in another order",
        lambda m: m.graph.output.append(m.graph.output[0]) or m.graph.output.__delitem__(0),
    )
    yield "an output twice", lambda m: m.graph.output.append(m.graph.output[0])
    yield (
        "a value of no node",
        lambda m: m.graph.value_info.append(helper.make_tensor_value_info("ghost", 1, (1,))),
    )


def _names_and_versions() -> Iterator[tuple[str, Spoil]]:
    for name in ("", "a\0b", "a\nb", "\x1b[2J", "\u202eevil", "x" * 100_000):
        shown = repr(name[:12])
        yield f"input is called {shown}", lambda m, n=name: setattr(m.graph.input[0], "name", n)
        yield f"weight is called {shown}", lambda m, n=name: setattr(m.graph.initializer[0], "name", n)
        yield f"output is called {shown}", lambda m, n=name: m.graph.node[0].output.__setitem__(0, n)
        yield f"operator is called {shown}", lambda m, n=name: setattr(m.graph.node[0], "op_type", n)
        yield (
            f"domain is called {shown}" if name else "domain is called 'x'",
            lambda m, n=name or "x": setattr(m.graph.node[0], "domain", n),
        )
    for version in (-1, 0, 1, 11, 16, 22, 99, 2**62):
        yield f"operator set {version}", lambda m, v=version: setattr(m.opset_import[0], "version", v)
    for version in (-1, 0, 2, 99, 2**62):
        yield f"IR version {version}", lambda m, v=version: setattr(m, "ir_version", v)
    yield "no operator set", lambda m: m.opset_import.__delitem__(slice(None))
    yield "two operator sets", lambda m: m.opset_import.append(helper.make_opsetid("", 17))
    for domain in ("com.microsoft", "ai.onnx.ml", "evil", "trt.plugins"):
        yield f"operators of {domain}", lambda m, d=domain: m.opset_import.append(helper.make_opsetid(d, 1))
        yield f"an operator of {domain}", lambda m, d=domain: setattr(m.graph.node[3], "domain", d)
