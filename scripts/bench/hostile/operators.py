"""Faults of nodes: operators, what tells them how much to make, and small steps that grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Spoil = Callable[[onnx.ModelProto], object]


def spoilt_nodes() -> Iterator[tuple[str, Spoil]]:
    yield from _operators()
    yield from _constants()
    yield from _attributes()
    yield from _growth()


def _weight(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(weight for weight in model.graph.initializer if weight.name == name)


def _node(model: onnx.ModelProto, made: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if made in node.output)


def _operators() -> Iterator[tuple[str, Spoil]]:
    for operator in [
        "If",
        "Loop",
        "Scan",
        "NonZero",
        "Range",
        "ConstantOfShape",
        "Tile",
        "Upsample",
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "Multinomial",
        "Bernoulli",
        "SequenceConstruct",
        "SequenceInsert",
        "SplitToSequence",
        "Optional",
        "Compress",
        "Unique",
        "NonMaxSuppression",
        "ImageDecoder",
        "StringNormalizer",
        "StringConcat",
        "StringSplit",
        "RegexFullMatch",
        "TfIdfVectorizer",
        "LSTM",
        "GRU",
        "RNN",
        "OneHot",
        "EyeLike",
        "Shape",
        "Size",
        "CumSum",
        "ScatterND",
        "ScatterElements",
        "GatherND",
        "DFT",
        "STFT",
        "MelWeightMatrix",
        "HannWindow",
        "Einsum",
        "Det",
        "Col2Im",
        "ReverseSequence",
        "TensorRT_Plugin",
        "EfficientNMS_TRT",
        "MemcpyFromHost",
        "EPContext",
        "Custom",
        "Adam",
        "Gradient",
        "MaxUnpool",
        "DeformConv",
        "RoiAlign",
        "Attention",
        "BitShift",
    ]:
        yield f"operator {operator}", lambda m, o=operator: setattr(m.graph.node[3], "op_type", o)
        yield (
            f"operator {operator}, of constants",
            lambda m, o=operator: m.graph.node.insert(0, helper.make_node(o, ["slots", "slots"], ["z"])),
        )
    for index, wrong in enumerate(
        ("Add", "Concat", "Conv", "Where", "TopK", "Gather", "Reshape", "Not", "Split", "QuantizeLinear")
    ):
        yield f"a Relu becomes {wrong}", lambda m, w=wrong: setattr(m.graph.node[3], "op_type", w)
        yield (
            f"a node more, {wrong} of what does not fit",
            lambda m, w=wrong, i=index: m.graph.node.append(
                helper.make_node(w, ["planes", "cells", "places"][: 1 + i % 3 + 1], ["z"])
            ),
        )
    for one, other in (
        ("levels", "planes"),
        ("cells", "c1"),
        ("frames", "levels"),
        ("scores", "at"),
        ("labels", "levels"),
    ):
        for operator in ("Add", "Mul", "MatMul", "Equal", "Concat"):

            def mismatched(
                m: onnx.ModelProto, operator: str = operator, one: str = one, other: str = other
            ) -> None:
                attributes = {"axis": 0} if operator == "Concat" else {}
                m.graph.node.append(helper.make_node(operator, [one, other], ["z"], **attributes))

            yield f"{operator} of {one} and {other}", mismatched
    for divisor in (0, -1, -(2**31)):

        def trap(m: onnx.ModelProto, divisor: int = divisor) -> None:
            m.graph.initializer.append(numpy_helper.from_array(np.array([divisor], np.int32), "divisor"))
            m.graph.node.append(helper.make_node("Div", ["labels", "divisor"], ["z"]))
            m.graph.node.append(helper.make_node("Mod", ["labels", "divisor"], ["zz"]))

        yield f"integers divided by {divisor}", trap
    yield (
        "integers divided by what a picture says",
        lambda m: m.graph.node.append(helper.make_node("Div", ["ones", "labels"], ["z"])),
    )


def _constants() -> Iterator[tuple[str, Spoil]]:
    """Constants that say how much is made."""
    huge = 2**40
    for name, arrays in {
        "sizes": (
            [1, 8, huge, 96],
            [1, 8, -1, 96],
            [1, 8, 0, 96],
            [1, 8, 64],
            [1, 8, 100_000, 100_000],
            [2**62] * 4,
        ),
        "pads": (
            [0, 0, huge, 1, 0, 0, 1, 1],
            [0, 0, -40, 0, 0, 0, -40, 0],
            [0] * 7,
            [2**62] * 8,
            [0, 0, 1, 1, 0, 0, 1, 2**31],
        ),
        "rows": ([1, 4, huge], [-1, -1, 4], [1, 4, -2], [2**32, 2**32, 4], [1, 5, -1], [0, 0, 0], []),
        "k": ([huge], [0], [-1], [6469], [2**62], [8, 8], []),
        "flat": ([huge], [0], [9], [-8], [2, 2, 2, 2]),
        "slots": ([huge, huge], [1, huge], [-1, 8], [0, 8], [1, 100_000, 100_000, 8], [2**31, 2**31]),
        "two": ([3], [-4], [2, 2], [2**62], [-(2**63)]),
        "fours": ([0], [-9], [-(2**63)]),
    }.items():
        for values in arrays:
            yield (
                f"{name} is {values}",
                lambda m, n=name, v=values: _weight(m, n).CopyFrom(
                    numpy_helper.from_array(np.array(v, np.int64), n)
                ),
            )
    for name, made, at in (
        ("sizes", "up", 3),
        ("pads", "padded", 1),
        ("rows", "columns", 1),
        ("k", "scores", 1),
        ("slots", "ones", 1),
        ("two", "best", 1),
    ):

        def computed(m: onnx.ModelProto, made: str = made, at: int = at) -> None:
            node = _node(m, made)
            node.input[at] = "computed"
            index = list(m.graph.node).index(node)
            m.graph.node.insert(index, helper.make_node("Cast", ["levels"], ["computed"], to=7))

        def floats(m: onnx.ModelProto, name: str = name) -> None:
            _weight(m, name).CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(_weight(m, name)).astype(np.float32), name)
            )

        def square(m: onnx.ModelProto, name: str = name) -> None:
            _weight(m, name).CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(_weight(m, name))[None], name)
            )

        yield f"{name} from a picture", computed
        yield f"{name} in floats", floats
        yield f"{name} as a matrix", square
    for scales in (
        (1, 1, 1e30, 1),
        (1, 1, float("inf"), 2),
        (1, 1, float("nan"), 2),
        (1, 1, -2, 2),
        (1, 1, 0, 2),
        (1, 1, 1e-30, 2),
        (1, 1, 40_000, 40_000),
        (2, 2),
    ):

        def scaled(m: onnx.ModelProto, scales: tuple[float, ...] = scales) -> None:
            m.graph.initializer.append(numpy_helper.from_array(np.array(scales, np.float32), "scales"))
            del _node(m, "up").input[2:]
            _node(m, "up").input.append("scales")

        yield f"scales are {scales}", scaled

    def both(m: onnx.ModelProto) -> None:
        m.graph.initializer.append(numpy_helper.from_array(np.full(4, 2, np.float32), "scales"))
        _node(m, "up").input[2] = "scales"

    yield "scales and sizes", both
    for name in ("scale", "w2_scale", "w2_zero", "zero"):

        def longer(m: onnx.ModelProto, name: str = name) -> None:
            array = numpy_helper.to_array(_weight(m, name))
            _weight(m, name).CopyFrom(numpy_helper.from_array(np.resize(array, 7), name))

        yield f"{name} of 7 channels", longer


def _attributes() -> Iterator[tuple[str, Spoil]]:
    huge = 2**40
    for made, values in {
        "c1": {
            "strides": ([0, 0], [-1, -1], [2], [huge, huge], [2, 2, 2]),
            "pads": ([huge] * 4, [-9] * 4, [2**62] * 4, [1, 1], [30_000] * 4),
            "dilations": ([0, 0], [-1, 1], [huge, 1], [100, 100]),
            "kernel_shape": ([3], [5, 5], [0, 0], [-3, -3], [huge, huge]),
            "group": (0, -1, 3, huge),
        },
        "pooled": {
            "kernel_shape": ([0, 0], [huge, huge], [2], [-2, -2], [100, 100]),
            "pads": ([2, 2, 2, 2], [huge] * 4, [-1] * 4),
            "strides": ([0, 1], [-2, -2]),
        },
        "wide": {
            "strides": ([huge, huge], [0, 0], [10_000, 10_000]),
            "output_padding": ([huge, huge], [-1, -1], [9, 9], [1]),
            "pads": ([huge] * 4, [-huge] * 4),
            "dilations": ([huge, huge],),
            "output_shape": ([huge, huge], [66, 98]),
        },
        "planes": {"perm": ([0, 1, 2], [0, 0, 0, 0], [9, 3, 1, 2], [-1, 0, 1, 2], [])},
        "scores": {"axis": (2, -3, huge, -(2**63))},
        "found": {"axis": (3, -4, huge)},
        "most": {"axis": (3, -4, 2**62)},
        "levels": {"to": (0, 8, 99, -1, 2**32 + 1)},
        "d2": {"axis": (4, -5, 2**62)},
    }.items():
        for name, wrongs in values.items():
            for wrong in wrongs:

                def change(
                    m: onnx.ModelProto, made: str = made, name: str = name, wrong: object = wrong
                ) -> None:
                    _set(_node(m, made), name, wrong)

                yield f"{name} of {made} is {wrong}", change
    for made, name, wrong in (
        ("c1", "auto_pad", "EVIL"),
        ("c1", "strides", "2,2"),
        ("c1", "strides", 2),
        ("c1", "strides", [2.0, 2.0]),
        ("levels", "to", 1.0),
        ("levels", "to", "FLOAT"),
        ("levels", "to", [1]),
        ("up", "mode", "evil"),
        ("up", "mode", 1),
        ("up", "axes", [2, 3]),
        ("up", "keep_aspect_ratio_policy", "not_larger"),
        ("up", "coordinate_transformation_mode", "tf_crop_and_resize"),
        ("padded", "mode", "wrap"),
        ("padded", "value", 1.0),
        ("r1", "alpha", 1.0),
        ("r1", "evil", 1),
        ("r1", "evil", ["a", "b"]),
        ("r1", "evil", [1.0, 2.0]),
        ("d1", "block_size", 2),
        ("q1", "block_size", 2),
        ("q1", "output_dtype", 17),
        ("best", "keepdims", "yes"),
        ("scores", "sorted", 1.5),
    ):
        yield (
            f"{name} of {made} is {wrong!r}",
            lambda m, made=made, n=name, w=wrong: _set(_node(m, made), n, w),
        )
    yield "an attribute twice", lambda m: _node(m, "levels").attribute.append(_node(m, "levels").attribute[0])
    yield "an attribute of two values", lambda m: setattr(_node(m, "levels").attribute[0], "f", 1.0)
    yield "an attribute of another type", lambda m: setattr(_node(m, "levels").attribute[0], "type", 1)
    yield "an attribute of no type", lambda m: _node(m, "levels").attribute[0].ClearField("type")
    yield "an attribute without a name", lambda m: setattr(_node(m, "levels").attribute[0], "name", "")
    for name, tensor in {
        "10 GB": TensorProto(data_type=1, dims=[10 << 28]),
        "text": helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]),
        "typed floats": helper.make_tensor("t", 1, [2], [1.0, 2.0]),
        "a segment": TensorProto(data_type=1, dims=[1], segment=TensorProto.Segment(begin=0, end=2**62)),
    }.items():
        yield (
            f"a constant of {name}",
            lambda m, t=tensor: m.graph.node.insert(0, helper.make_node("Constant", [], ["z"], value=t)),
        )

        def typed(m: onnx.ModelProto, tensor: onnx.TensorProto = tensor) -> None:
            m.graph.initializer.append(tensor)
            m.graph.initializer[-1].name = "z"

        yield f"a weight of {name}", typed
    yield "a constant of no value", lambda m: m.graph.node.insert(0, helper.make_node("Constant", [], ["z"]))
    yield (
        "a constant of two values",
        lambda m: m.graph.node.insert(
            0, helper.make_node("Constant", [], ["z"], value_int=1, value_float=1.0)
        ),
    )
    yield (
        "a constant of strings",
        lambda m: m.graph.node.insert(0, helper.make_node("Constant", [], ["z"], value_strings=["a"])),
    )


def _set(node: onnx.NodeProto, name: str, value: object) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    empty = {"attr_type": onnx.AttributeProto.INTS} if value == [] else {}
    node.attribute.extend([*kept, helper.make_attribute(name, value, **empty)])


def _growth() -> Iterator[tuple[str, Spoil]]:
    """Small steps that grow without end."""

    def chain(operator: str, times: int, **attributes: Any) -> Spoil:
        def grow(m: onnx.ModelProto) -> None:
            last = "c1"
            for index in range(times):
                inputs = [last, last]
                m.graph.node.append(helper.make_node(operator, inputs, [f"g{index}"], **attributes))
                last = f"g{index}"

        return grow

    for times in (20, 60, 1000):
        yield f"{times} times as much of itself", chain("Concat", times, axis=0)

    def outer(m: onnx.ModelProto) -> None:
        for name, shape in (("tall", [6468 * 4, 1]), ("flat_", [1, 6468 * 4])):
            m.graph.initializer.append(numpy_helper.from_array(np.array(shape), name))
            m.graph.node.append(helper.make_node("Reshape", ["cells", name], [f"{name}_v"]))
        m.graph.node.append(helper.make_node("MatMul", ["tall_v", "flat__v"], ["product"]))

    yield "outer product", outer

    def sum_of_both(m: onnx.ModelProto) -> None:
        outer(m)
        m.graph.node[-1].op_type = "Add"

    yield "sum of a row and a column", sum_of_both

    def gathered(m: onnx.ModelProto) -> None:
        m.graph.initializer.append(numpy_helper.from_array(np.zeros(100_000, np.int64), "often"))
        m.graph.node.append(helper.make_node("Gather", ["c1", "often"], ["z"], axis=0))

    yield "one thing gathered 100,000 times", gathered

    def kept(m: onnx.ModelProto, *, constant: bool) -> None:
        m.graph.initializer.append(numpy_helper.from_array(np.array([1, 8, 3000, 4000]), "large"))
        m.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "unit"))
        m.graph.initializer.append(numpy_helper.from_array(np.array([1]), "channel"))
        m.graph.node.append(helper.make_node("ReduceMax", ["c1", "two"], ["row"]))
        m.graph.node.append(helper.make_node("ReduceMax", ["row", "three"], ["dot"]))
        m.graph.initializer.append(numpy_helper.from_array(np.array([3]), "three"))
        for index in range(12):
            m.graph.node.append(
                helper.make_node("Expand", ["unit" if constant else "dot", "large"], [f"v{index}"])
            )
            if constant:
                m.graph.node.append(helper.make_node("ReduceMax", [f"v{index}", "channel"], [f"s{index}"]))
        if not constant:
            for index in range(12):
                m.graph.node.append(helper.make_node("ReduceMax", [f"v{index}", "channel"], [f"s{index}"]))

    yield "4.6 GB alive at once", lambda m: kept(m, constant=False)
    yield "4.6 GB of constants, one by one", lambda m: kept(m, constant=True)

    def window(m: onnx.ModelProto) -> None:
        m.graph.initializer.append(
            numpy_helper.from_array(np.zeros((1, 8, 600, 600), np.float32), "wide_kernel")
        )
        m.graph.node.append(helper.make_node("Conv", ["c1", "wide_kernel"], ["z"], pads=[600] * 4))

    yield "a convolution of a huge window", window
    yield (
        "a pooling of a huge window",
        lambda m: m.graph.node.append(
            helper.make_node("AveragePool", ["c1"], ["z"], kernel_shape=[3000, 3000], pads=[2999] * 4)
        ),
    )
