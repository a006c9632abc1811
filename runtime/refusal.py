"""Why TensorRT's parser refuses a graph, as one line that names the layer, the reason and the remedy."""

from __future__ import annotations

import re
from typing import Any

_USAGE_ERROR = re.compile(r"Error \((?P<said>.+?)(?:\. In \w+ at .+)?\)$")

_REMEDIES = (
    (r"uint8", "cast to float before it: uint8 may only enter the graph and be cast"),
    (r"dequantizelinear.*int32", "quantize again without biases (ONNX Runtime: QuantizeBias=False)"),
    (r"antialias", "export without antialias, and bring frames to size before the graph"),
    (r"double|float64", "export in float32"),
)
_REMEDY = "change it in the model and export again"


def refusal(parser: Any, compiler: str) -> str:
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
    reason = next((line for line in lines[1:] if "cudaError" not in line), "".join(lines[:1]))
    if usage := _USAGE_ERROR.search(reason):
        reason = usage["said"]
    place = f"layer {error.node_name()!r} ({error.node_operator()})" if error.node_name() else "the graph"
    return f"{compiler} refuses {place}: {reason}; {_remedy(f'{place} {reason}')}"


def _remedy(told: str) -> str:
    found = (remedy for cause, remedy in _REMEDIES if re.search(cause, told.lower()))
    return next(found, _REMEDY)
