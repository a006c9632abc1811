"""A bundle's graph on TensorRT: the engine of the boards.

A set of buffers is an array for each input and output, and the CUDA graph of one call on them: copies, where
CPU and GPU have memory of their own, and the network. TensorRT allocates what it lacks in its first call, so
each set is run once before its graph is captured; from then on a call is one launch.

Two sets take turns: while the GPU works on one, the caller fills the other. All launches go into one stream,
so that calls never overlap on the GPU and one context with its scratch memory serves both sets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from catseye.errors import CatseyeError
from catseye.runtime.cuda import SharedArray, call, load_cuda
from catseye.runtime.device import shares_memory
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.layer_report import engine_layers
from catseye.runtime.onnx_reader import Value
from catseye.runtime.tensorrt_library import Backend, load_tensorrt

_log = logging.getLogger(__name__)

_SETS = 2


@dataclass
class _BufferSet:
    """What one call works on: arrays by tensor name, the graph of the call, and the event of its end."""

    arrays: dict[str, SharedArray]
    done: Any
    graph: Any = None
    busy: bool = False


class TensorRTEngine:
    """Implements ``Engine``; ``start`` and ``finish`` are the two halves of ``infer``.

    Not for use by several threads at once.

    Args:
        plan: a serialised engine, built on this machine: it is native code.
        inputs, outputs: what the graph has, by the bundle's manifest.
        backend: which TensorRT built it.
        precision: for the name.
        dla: the DLA core that it was built for.
        mapped: whether the GPU works in the CPU's memory; None asks the device.
        release: called once all is freed; not where this raises.

    Raises:
        CatseyeError: TensorRT does not load the plan, the plan is of another graph, or CUDA fails.
    """

    def __init__(
        self,
        plan: bytes,
        *,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        backend: Backend = "tensorrt",
        precision: str = "",
        dla: int | None = None,
        mapped: bool | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._trt, self._logger = load_tensorrt(backend)
        self._cuda = load_cuda()
        self.name = f"{backend} {self._trt.__version__} {precision}".strip()
        self._outputs = tuple(value.name for value in outputs)
        self._mapped = shares_memory() if mapped is None else mapped
        with ExitStack() as stack:
            self._engine = self._load(plan, dla)
            stack.callback(self._forget)
            self._check(self._engine, inputs, outputs)
            self._context = self._made(self._engine.create_execution_context(), "makes no context")
            cuda = self._cuda
            self._stream = call(cuda.cudaStreamCreateWithFlags, cuda.cudaStreamNonBlocking)
            stack.callback(call, cuda.cudaStreamDestroy, self._stream)
            self._inputs = tuple(value.name for value in inputs)
            self._sets = [self._make_set((*inputs, *outputs), stack) for _ in range(_SETS)]
            for buffers in self._sets:
                self._prepare(buffers, stack)
            stack.callback(call, cuda.cudaStreamSynchronize, self._stream)
            self._resources = ExitStack()
            if release is not None:
                self._resources.callback(release)
            self._resources.push(stack.pop_all())
        self._next = 0

    def infer(self, inputs: Inputs) -> EngineOutput:
        return self.finish(self.start(inputs))

    def start(self, inputs: Inputs) -> int:
        """Begin a call on a whole batch; return its number for ``finish``.

        Raises:
            CatseyeError: two calls are under way already, or CUDA fails.
        """
        number = self._next
        buffers = self._sets[number]
        if buffers.busy:
            raise CatseyeError(f"{_SETS} calls are under way: finish the first before another starts")
        for name in self._inputs:
            host = buffers.arrays[name].host
            if inputs[name].shape != host.shape:
                raise CatseyeError(f"{name} is of shape {inputs[name].shape}, the network takes {host.shape}")
            np.copyto(host, inputs[name], casting="no")
        if buffers.graph is None:
            self._enqueue(buffers)
        else:
            call(self._cuda.cudaGraphLaunch, buffers.graph, self._stream)
        call(self._cuda.cudaEventRecord, buffers.done, self._stream)
        buffers.busy = True
        self._next = (number + 1) % _SETS
        return number

    def finish(self, number: int) -> EngineOutput:
        """Wait for the call that ``start`` numbered; its outputs are copies.

        Raises:
            CatseyeError: CUDA fails.
        """
        buffers = self._sets[number]
        call(self._cuda.cudaEventSynchronize, buffers.done)
        buffers.busy = False
        return EngineOutput(**{name: buffers.arrays[name].host.copy() for name in self._outputs})

    def layers(self) -> list[Any]:
        """What TensorRT made of the graph, layer by layer, as its engine inspector tells."""
        return engine_layers(self._trt, self._engine)

    def close(self) -> None:
        self._resources.close()

    def _load(self, plan: bytes, dla: int | None) -> Any:
        self._logger.clear()
        runtime = self._trt.Runtime(self._logger)
        if dla is not None:
            runtime.DLA_core = dla
        return self._made(runtime.deserialize_cuda_engine(plan), "does not load the plan")

    def _check(self, engine: Any, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        modes, types = self._trt.TensorIOMode, self._trt.DataType
        names = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}
        wanted = {
            value.name: (mode, value.shape, names[value.dtype])
            for mode, values in ((modes.INPUT, inputs), (modes.OUTPUT, outputs))
            for value in values
        }
        found = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(engine.get_tensor_shape(name))
            found[name] = (engine.get_tensor_mode(name), shape, engine.get_tensor_dtype(name))
        if found != wanted:
            raise CatseyeError(f"{self.name}: the plan is of another graph than the bundle's; build it again")

    def _make_set(self, values: Sequence[Value], stack: ExitStack) -> _BufferSet:
        arrays = {}
        for value in values:
            array = SharedArray(self._cuda, value.shape, value.dtype, mapped=self._mapped)
            stack.callback(array.free)
            arrays[value.name] = array
        # Waiting must not burn a core that decoding and tracking need.
        flags = self._cuda.cudaEventDisableTiming | self._cuda.cudaEventBlockingSync
        done = call(self._cuda.cudaEventCreateWithFlags, flags)
        stack.callback(call, self._cuda.cudaEventDestroy, done)
        return _BufferSet(arrays, done)

    def _prepare(self, buffers: _BufferSet, stack: ExitStack) -> None:
        """Run once on zeros, then capture the call's graph. What cannot be captured is called as it is."""
        cuda = self._cuda
        self._run_once(buffers)
        call(
            cuda.cudaStreamBeginCapture,
            self._stream,
            cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal,
        )
        try:
            self._enqueue(buffers)
            captured = call(cuda.cudaStreamEndCapture, self._stream)
        except CatseyeError as error:
            self._end_capture()
            _log.warning("%s: calls go without a CUDA graph: %s", self.name, error)
            return
        buffers.graph = call(cuda.cudaGraphInstantiate, captured, 0)
        stack.callback(call, cuda.cudaGraphExecDestroy, buffers.graph)
        call(cuda.cudaGraphDestroy, captured)

    def _run_once(self, buffers: _BufferSet) -> None:
        for array in buffers.arrays.values():
            array.host.fill(0)
        self._enqueue(buffers)
        call(self._cuda.cudaStreamSynchronize, self._stream)

    def _end_capture(self) -> None:
        """Leave the stream as it was before a capture that failed, whatever the state of it."""
        self._cuda.cudaStreamEndCapture(self._stream)
        self._cuda.cudaGetLastError()

    def _enqueue(self, buffers: _BufferSet) -> None:
        for name, array in buffers.arrays.items():
            if not self._context.set_tensor_address(name, array.address):
                raise CatseyeError(f"{self.name} takes no address of {name}: {self._logger.reason()}")
        for name in self._inputs:
            buffers.arrays[name].to_device(self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise CatseyeError(f"{self.name} does not run the plan: {self._logger.reason()}")
        for name in self._outputs:
            buffers.arrays[name].to_host(self._stream)

    def _made(self, thing: Any, fault: str) -> Any:
        if thing is None:
            raise CatseyeError(f"{self.name} {fault}: {self._logger.reason()}; build it again")
        return thing

    def _forget(self) -> None:
        """TensorRT frees what nobody refers to; the context goes before its engine."""
        self._context = None
        self._engine = None
