"""A bundle's graph on ONNX Runtime, on the CPU: the engine that runs anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from catseye.errors import CatseyeError
from catseye.runtime.engines.base import EngineOutput, Inputs

_WARNINGS_OFF = 3


class OnnxRuntimeEngine:
    """Implements ``Engine``.

    Args:
        graph: a serialised ONNX model with the interface of ``base``, already checked by ``onnx_reader``.
        threads: cores one call may use; 0 takes all.

    Raises:
        CatseyeError: ONNX Runtime does not load the graph.
    """

    def __init__(self, graph: bytes, *, threads: int = 0) -> None:
        self.name = f"onnxruntime {onnxruntime.__version__} cpu"
        self._session = make_session(graph, threads=threads)

    def infer(self, inputs: Inputs) -> EngineOutput:
        return EngineOutput(**run_session(self._session, inputs))

    def close(self) -> None:
        del self._session


def make_session(graph: bytes, *, threads: int = 0) -> Any:
    """An ``InferenceSession`` on the CPU.

    Raises:
        CatseyeError: ONNX Runtime does not load the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _WARNINGS_OFF
    # Waiting threads would burn the cores that decoding and tracking need between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class of their own
        reason = str(error).splitlines()[0]
        raise CatseyeError(f"ONNX Runtime does not load the graph: {reason}") from None


def run_session(session: Any, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Every output of a graph, by name."""
    names = [output.name for output in session.get_outputs()]
    feeds = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    return dict(zip(names, session.run(names, feeds), strict=True))
