"""Other tools' int8 of an ONNX file, for ``int8_peers.py``, which runs this in those tools' environment.

python int8_tools.py TOOL GRAPH.onnx FRAMES.npy OUT.onnx [HEAD_LAYER…] -- [NODE_AROUND…]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
INPUT = "frames"


def onnxruntime_static(graph: str, frames: Frames, out: str, **options: Any) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # of an untyped library
        def __init__(self) -> None:
            self.rows: Iterator[Frames] = iter(frames)

        def get_next(self) -> dict[str, Frames] | None:
            row = next(self.rows, None)
            return None if row is None else {INPUT: row[None]}

    quantize_static(graph, out, Reader(), **options)


def onnxruntime_for_tensorrt(graph: str, frames: Frames, out: str) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType

    onnxruntime_static(
        graph,
        frames,
        out,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "Add"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )


def modelopt(graph: str, frames: Frames, out: str, *, method: str, **options: Any) -> None:
    from modelopt.onnx.quantization import quantize

    quantize(
        graph,
        quantize_mode="int8",
        calibration_data={INPUT: frames},
        calibration_method=method,
        calibration_eps=["cpu"],
        output_path=out,
        **options,
    )


def ultralytics_onnx(graph: str, frames: Frames, out: str) -> None:
    from ultralytics.utils.export.onnx import onnx_int8_quantize

    onnx_int8_quantize(graph, out, [row[None] for row in frames], lambda row: row, input_name=INPUT)


def main() -> None:
    tool, graph, recorded, out, *nodes = sys.argv[1:]
    heads, around = nodes[: nodes.index("--")], nodes[nodes.index("--") + 1 :]
    frames = np.load(recorded)
    if tool == "onnxruntime":
        onnxruntime_static(graph, frames, out)
    elif tool == "onnxruntime-tensorrt":
        onnxruntime_for_tensorrt(graph, frames, out)
    elif tool in {"modelopt-max-float", "modelopt-entropy-float"}:
        method = tool.split("-")[1]
        excluded = heads + around
        modelopt(graph, frames, out, method=method, high_precision_dtype="fp32", nodes_to_exclude=excluded)
    elif tool.startswith("modelopt-"):
        modelopt(graph, frames, out, method=tool.removeprefix("modelopt-"), high_precision_dtype="fp32")
    elif tool == "ultralytics-onnx":
        ultralytics_onnx(graph, frames, out)
    elif tool == "ultralytics-engine":
        modelopt(graph, frames, out, method="max", nodes_to_exclude=heads)
    else:
        sys.exit(f"{tool}: no such tool")


if __name__ == "__main__":
    main()
