"""A bundle's graph on ONNX Runtime: on the CPU, which runs anywhere, or through CUDA or its own TensorRT.

On the CPU a call is a plain ``run``: binding inputs and outputs to fixed arrays saves nothing measurable
there. On a GPU both are bound to memory of the device, given once, so that a call allocates nothing.

int8 that is placed for TensorRT computes in float32 on the CPU: ONNX Runtime's integer convolutions need
their output quantised before the activation, where TensorRT quantises behind it. What it can be spared is
restoring the weights in each call, and with it the loss of float32's own kernels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from catseye.errors import CatseyeError
from catseye.runtime.cores import usable_cores
from catseye.runtime.engines.base import EngineOutput, Inputs

Provider = Literal["cpu", "cuda", "tensorrt"]

_NAMES: Mapping[Provider, str] = MappingProxyType(
    {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
    }
)
_WARNINGS_OFF = 3
_MIB = 1 << 20


class OnnxRuntimeEngine:
    """Implements ``Engine``.

    Args:
        graph: a serialised ONNX model with the interface of ``base``, already checked by ``onnx_reader``.
        precision: that export has converted it to; what someone else has quantised is in ``fp32`` here.
        threads: cores one call may use; 0 takes ``usable_cores``.
        calls: as many as may be under way at the same time, from as many threads.
        provider: what executes it; what it does not know runs on the CPU.
        cache: folder of the engines that ``tensorrt`` builds; None takes the user's cache.
        workspace_mib: most scratch memory that ``tensorrt`` may use for a layer, in MiB.

    Raises:
        CatseyeError: this ONNX Runtime does not have the provider, or does not load the graph.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        precision: str = "fp32",
        threads: int = 0,
        calls: int = 1,
        provider: Provider = "cpu",
        cache: str | Path | None = None,
        workspace_mib: int = 1024,
    ) -> None:
        if _NAMES[provider] not in onnxruntime.get_available_providers():
            raise _missing(provider)
        self.name = f"onnxruntime {onnxruntime.__version__} {provider}"
        options = _options(provider, graph, cache, workspace_mib)
        as_written = provider == "cpu" and precision == "int8"
        self._session = make_session(
            graph, threads=threads, calls=calls, providers=options, as_written=as_written
        )
        if self._session.get_providers()[0] != _NAMES[provider]:
            raise CatseyeError(f"{self.name}: does not start on this machine; look at what CUDA and it need")
        self._bound = None if provider == "cpu" else BoundArrays(self._session, device="cuda")

    def infer(self, inputs: Inputs) -> EngineOutput:
        if self._bound is None:
            return EngineOutput(**run_session(self._session, inputs))
        return EngineOutput(**self._bound.run(inputs))

    def close(self) -> None:
        del self._session
        self._bound = None


@dataclass(frozen=True)
class _Tensor:
    name: str
    value: Any


class BoundArrays:
    """A session's inputs and outputs in memory that is given once.

    Args:
        session: of a graph whose shapes are fixed.
        device: whose memory: ``cuda``, or ``cpu``.
    """

    def __init__(self, session: Any, *, device: str) -> None:
        self._session, self._binding = session, session.io_binding()
        self._inputs = [_made(value, device) for value in session.get_inputs()]
        self._outputs = [_made(value, device) for value in session.get_outputs()]
        for tensor in self._inputs:
            self._binding.bind_ortvalue_input(tensor.name, tensor.value)
        for tensor in self._outputs:
            self._binding.bind_ortvalue_output(tensor.name, tensor.value)

    def run(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """Every output by name, as copies."""
        for tensor in self._inputs:
            tensor.value.update_inplace(np.ascontiguousarray(inputs[tensor.name]))
        self._session.run_with_iobinding(self._binding)
        return {tensor.name: np.array(tensor.value.numpy()) for tensor in self._outputs}


def make_session(
    graph: bytes,
    *,
    threads: int = 0,
    calls: int = 1,
    providers: list[tuple[str, dict[str, str]]] | None = None,
    as_written: bool = False,
) -> Any:
    """An ``InferenceSession``, on the CPU where no ``providers`` are named with their options.

    Args:
        threads, calls: see ``OnnxRuntimeEngine``.
        as_written: whether pairs of QuantizeLinear and DequantizeLinear stay what they are. ONNX Runtime
            looks for integer kernels otherwise, and keeps weights quantised for them: good where every output
            of a layer is quantised, and slower where activations lie between.

    Raises:
        CatseyeError: ONNX Runtime does not load the graph.
    """
    options = onnxruntime.SessionOptions()
    # Left to itself it starts a thread for each core of the machine, also where this process may use fewer.
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # A pattern is a block for all of a call, and calls side by side would have one each.
    options.enable_mem_pattern = calls == 1
    options.log_severity_level = _WARNINGS_OFF
    # Waiting threads would burn the cores that decoding and tracking need between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_quant_qdq", str(int(as_written)))
    try:
        return onnxruntime.InferenceSession(graph, options, providers=providers or [(_NAMES["cpu"], {})])
    except Exception as error:  # its exceptions share no base class of their own
        reason = str(error).splitlines()[0]
        raise CatseyeError(f"ONNX Runtime does not load the graph: {reason}") from None


def run_session(session: Any, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Every output of a graph, by name."""
    names = [output.name for output in session.get_outputs()]
    feeds = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def _options(
    provider: Provider, graph: bytes, cache: str | Path | None, workspace_mib: int
) -> list[tuple[str, dict[str, str]]]:
    """Providers in the order in which they are asked, with their options."""
    chain: list[tuple[str, dict[str, str]]] = [(_NAMES["cpu"], {})]
    if provider == "cpu":
        return chain
    chain.insert(0, (_NAMES["cuda"], {"use_tf32": "0"}))  # ten bits would not hold the proof of float32
    if provider == "tensorrt":
        folder = str(_engine_folder(graph, cache))
        chain.insert(
            0,
            (
                _NAMES["tensorrt"],
                {
                    # Precision lives in the graph, whose types are kept where neither of these is asked for.
                    "trt_fp16_enable": "0",
                    "trt_int8_enable": "0",
                    "trt_max_workspace_size": str(workspace_mib * _MIB),
                    "trt_engine_cache_enable": "1",
                    "trt_engine_cache_path": folder,
                    "trt_timing_cache_enable": "1",
                    "trt_timing_cache_path": folder,
                },
            ),
        )
    return chain


def _engine_folder(graph: bytes, cache: str | Path | None) -> Path:
    """Where engines of this graph and ONNX Runtime are kept; they are native code, and nobody else's.

    The names that ONNX Runtime gives them tell the GPU's architecture.
    """
    from catseye.runtime.plan_cache import default_folder, make_private

    top = default_folder() if cache is None else Path(cache)
    make_private(top)
    version = onnxruntime.__version__
    folder = top / f"onnxruntime-{version}-{hashlib.sha256(graph).hexdigest()[:32]}"
    make_private(folder)
    return folder


def _made(value: Any, device: str) -> _Tensor:
    dtype = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(float)": np.float32}[value.type]
    made = onnxruntime.OrtValue.ortvalue_from_shape_and_type(value.shape, dtype, device, 0)
    return _Tensor(value.name, made)


def _missing(provider: Provider) -> CatseyeError:
    have = ", ".join(name for name in _NAMES if _NAMES[name] in onnxruntime.get_available_providers())
    return CatseyeError(
        f"this ONNX Runtime has no provider {provider}, only {have}: install onnxruntime-gpu in place of "
        "onnxruntime, or choose another engine"
    )
