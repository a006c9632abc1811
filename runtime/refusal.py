"""Why TensorRT refuses a graph, as one line that names the layer, the reason and the remedy."""

from __future__ import annotations

import re
from typing import Any

_USAGE_ERROR = re.compile(r"Error \((?P<said>.+?)(?:\. In \w+ at .+)?\)$")
_OF_LAYER = re.compile(r"^I(?P<kind>\w+)Layer (?P<name>\S+): (?P<said>.+)$")

_REMEDIES = (
    (r"antialias", "export without antialias, and bring frames to size before the graph"),
    (r"dequantizelinear.*int32", "quantise again without biases (ONNX Runtime: QuantizeBias=False)"),
    (r"non-zero zero point", "quantise again symmetrically, with zero points of 0"),
    (r"must have same input types", "put a Cast before it"),
    (r"uint8", "cast to float before it: uint8 may only enter the graph and be cast"),
    (r"k exceeds", "export with fewer detections a frame"),
    (r"dynamic", "export with fixed shapes"),
    (r"no such operator", "export without this operator, or compute it outside of the network"),
)
_REMEDY = "change it in the model and export again"


def parser_refusal(parser: Any, compiler: str) -> str:
    """The first error of a parser that has failed.

    Args:
        parser: TensorRT's ``OnnxParser``.
        compiler: what to call TensorRT, with its version.
    """
    if not parser.num_errors:
        return f"{compiler} refuses the graph without a reason"
    error = parser.get_error(0)
    lines = [line.strip() for line in error.desc().splitlines() if line.strip()]
    # The first line only repeats the node's name; one about CUDA only says that there is no GPU.
    reason = _cleaned(next((line for line in lines[1:] if "cudaError" not in line), "".join(lines[:1])))
    if reason == "false":
        reason = "it has no such operator"
    place = f"layer {error.node_name()!r} ({error.node_operator()})" if error.node_name() else "the graph"
    return _line(f"{compiler} refuses", place, reason)


def builder_refusal(reason: str, compiler: str) -> str:
    """What the builder logged where it gave no plan, though the parser found nothing."""
    said, place = _cleaned(reason), "the graph"
    if layer := _OF_LAYER.match(said):
        place = f"layer {layer['name']!r} ({layer['kind']})"
        said = layer["said"].removeprefix(f"{layer['name']}: ")
    return _line(f"{compiler} does not build", place, said)


def _cleaned(reason: str) -> str:
    usage = _USAGE_ERROR.search(reason)
    return usage["said"] if usage else reason


def _line(what: str, place: str, reason: str) -> str:
    told = f"{place} {reason}".lower()
    remedy = next((remedy for cause, remedy in _REMEDIES if re.search(cause, told)), _REMEDY)
    return f"{what} {place}: {reason}; {remedy}"
