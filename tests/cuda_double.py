"""A GPU that is not there: ``cuda.bindings.runtime`` over memory of this process.

Every call is held to the real function's signature. Work is done when somebody waits for it, not before, so
that what is read too early is not there; memory that was freed or never given is an illegal address; a stream
that captures takes no call that would wait.
"""

# ruff: noqa: N802  # methods bear the names of CUDA's functions

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cuda.bindings import runtime as real
from numpy.typing import NDArray
from tensorrt_api import WrongCallError

_GIVEN, _FREED = 0xA5, 0xDD
_ALIAS = 1 << 52
_ALIGNED = 256

Work = Callable[[], None]


@dataclass
class Block:
    bytes: NDArray[np.uint8]
    address: int
    kind: str
    live: bool = True


@dataclass
class Stream:
    handle: int
    queue: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None


class CudaDouble(types.ModuleType):
    """The module; ``integrated`` makes the GPU share the CPU's memory, as a Jetson's does.

    ``can_capture`` false makes every capture fail, as some networks do.
    """

    def __init__(self, *, integrated: bool, can_capture: bool = True, gpus: int = 1) -> None:
        super().__init__("cuda.bindings.runtime")
        self.integrated, self.can_capture, self.gpus = integrated, can_capture, gpus
        self.driver = 12060
        self.blocks: list[Block] = []
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.executables: dict[int, list[Work]] = {}
        self.events: dict[int, tuple[Stream, Work] | None] = {}
        self.launches = 0
        self.waits = 0
        self.wrong: list[str] = []
        self._handles = 1000

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if not hasattr(real, name):
            self.fail(f"cuda.bindings.runtime has no {name}")
        thing = getattr(real, name)
        if isinstance(thing, type | int) or name.startswith("cudaGetError"):
            return thing
        act = getattr(self, f"_{name}", None)
        if act is None:
            raise NotImplementedError(name)  # a real call, new to the runtime: teach the double to act it
        signature = inspect.signature(thing)

        def held(*args: Any, **named: Any) -> Any:
            try:
                signature.bind(*args, **named)
            except TypeError as error:
                self.fail(f"{name}{signature}: {error}")
            found = act(*args, **named)
            return found if isinstance(found, tuple) else (found,)

        held.__name__ = name
        return held

    def fail(self, what: str) -> None:
        """What breaks here breaks the test, whoever swallows the error."""
        self.wrong.append(what)
        raise WrongCallError(what)

    def live(self) -> dict[str, int]:
        """How much of each was not given back."""
        return {
            "blocks": sum(block.live for block in self.blocks),
            "streams": len(self.streams),
            "events": len(self.events),
            "graphs": len(self.graphs) + len(self.executables),
        }

    def stream(self, handle: Any) -> Stream:
        if int(handle) not in self.streams:
            self.fail(f"stream {int(handle)} is none, or was destroyed")
        return self.streams[int(handle)]

    def submit(self, stream: Stream, work: Work) -> None:
        (stream.queue if stream.captured is None else stream.captured).append(work)

    def seen_by_gpu(self, address: int, size: int) -> NDArray[np.uint8]:
        """Bytes that the GPU finds at an address."""
        for block in self.blocks:
            start = block.address + (_ALIAS if block.kind == "mapped" else 0)
            if block.kind != "pinned" and start <= address and address + size <= start + block.bytes.size:
                if not block.live:
                    self.fail(f"the GPU uses {block.kind} memory that was freed")
                return block.bytes[address - start :][:size]
        self.fail(f"the GPU has no {size} bytes at {address:#x}")
        raise AssertionError

    def seen_by_host(self, address: int, size: int) -> NDArray[np.uint8]:
        for block in self.blocks:
            if block.kind != "device" and block.address <= address < block.address + block.bytes.size:
                if not block.live or address + size > block.address + block.bytes.size:
                    self.fail("a copy touches host memory that was freed or is too small")
                return block.bytes[address - block.address :][:size]
        self.fail(f"no page-locked memory at {address:#x}")
        raise AssertionError

    def _cudaGetLastError(self) -> Any:
        return real.cudaError_t.cudaSuccess

    def _cudaGetDeviceCount(self) -> Any:
        return real.cudaError_t.cudaSuccess, self.gpus

    def _cudaDeviceGetAttribute(self, attribute: Any, device: int) -> Any:
        if not isinstance(attribute, real.cudaDeviceAttr):
            self.fail(f"cudaDeviceGetAttribute of {attribute!r}")
        found = {
            "cudaDevAttrComputeCapabilityMajor": 8,
            "cudaDevAttrComputeCapabilityMinor": 7,
            "cudaDevAttrIntegrated": int(self.integrated),
            "cudaDevAttrCanMapHostMemory": 1,
        }
        return real.cudaError_t.cudaSuccess, found[attribute.name]

    def _cudaGetDeviceProperties(self, device: int) -> Any:
        properties = real.cudaDeviceProp()
        properties.name = b"Orin".ljust(256, b"\0")
        return real.cudaError_t.cudaSuccess, properties

    def _cudaDriverGetVersion(self) -> Any:
        return real.cudaError_t.cudaSuccess, self.driver

    def _cudaRuntimeGetVersion(self) -> Any:
        return real.cudaError_t.cudaSuccess, 12060

    def _cudaHostAlloc(self, size: int, flags: int) -> Any:
        kinds = {int(real.cudaHostAllocDefault): "pinned", int(real.cudaHostAllocMapped): "mapped"}
        return real.cudaError_t.cudaSuccess, self._give(size, kinds[flags])

    def _cudaHostGetDevicePointer(self, host: int, flags: int) -> Any:
        block = self._block(host, "mapped")
        if flags != 0:
            self.fail("cudaHostGetDevicePointer: flags must be 0")
        return real.cudaError_t.cudaSuccess, block.address + _ALIAS

    def _cudaMalloc(self, size: int) -> Any:
        return real.cudaError_t.cudaSuccess, self._give(size, "device")

    def _cudaFree(self, address: int) -> Any:
        return self._take(self._block(address, "device"))

    def _cudaFreeHost(self, address: int) -> Any:
        return self._take(self._block(address, "pinned", "mapped"))

    def _cudaMemcpyAsync(self, to: int, source: int, size: int, kind: Any, stream: Any) -> Any:
        if not isinstance(kind, real.cudaMemcpyKind):
            self.fail(f"cudaMemcpyAsync of kind {kind!r}")
        up = kind == real.cudaMemcpyKind.cudaMemcpyHostToDevice
        if not up and kind != real.cudaMemcpyKind.cudaMemcpyDeviceToHost:
            self.fail(f"cudaMemcpyAsync of kind {kind!r}")

        def copy() -> None:
            target = self.seen_by_gpu(to, size) if up else self.seen_by_host(to, size)
            target[:] = self.seen_by_host(source, size) if up else self.seen_by_gpu(source, size)

        self.submit(self.stream(stream), copy)
        return real.cudaError_t.cudaSuccess

    def _cudaStreamCreateWithFlags(self, flags: int) -> Any:
        made = Stream(self._handle())
        self.streams[made.handle] = made
        return real.cudaError_t.cudaSuccess, real.cudaStream_t(made.handle)

    def _cudaStreamDestroy(self, stream: Any) -> Any:
        self._run(self.stream(stream), None)
        del self.streams[int(stream)]
        return real.cudaError_t.cudaSuccess

    def _cudaStreamSynchronize(self, stream: Any) -> Any:
        found = self.stream(stream)
        if found.captured is not None:
            found.captured = None
            return real.cudaError_t.cudaErrorStreamCaptureUnsupported
        self._run(found, None)
        return real.cudaError_t.cudaSuccess

    def _cudaStreamBeginCapture(self, stream: Any, mode: Any) -> Any:
        if not isinstance(mode, real.cudaStreamCaptureMode):
            self.fail(f"cudaStreamBeginCapture of mode {mode!r}")
        self.stream(stream).captured = []
        return real.cudaError_t.cudaSuccess

    def _cudaStreamEndCapture(self, stream: Any) -> Any:
        found = self.stream(stream)
        work, found.captured = found.captured, None
        if work is None:
            return real.cudaError_t.cudaErrorIllegalState, None
        if not self.can_capture:
            return real.cudaError_t.cudaErrorStreamCaptureInvalidated, None
        handle = self._handle()
        self.graphs[handle] = work
        return real.cudaError_t.cudaSuccess, real.cudaGraph_t(handle)

    def _cudaGraphInstantiate(self, graph: Any, flags: int) -> Any:
        handle = self._handle()
        self.executables[handle] = self.graphs[int(graph)]
        return real.cudaError_t.cudaSuccess, real.cudaGraphExec_t(handle)

    def _cudaGraphDestroy(self, graph: Any) -> Any:
        del self.graphs[int(graph)]
        return real.cudaError_t.cudaSuccess

    def _cudaGraphExecDestroy(self, graph: Any) -> Any:
        del self.executables[int(graph)]
        return real.cudaError_t.cudaSuccess

    def _cudaGraphLaunch(self, graph: Any, stream: Any) -> Any:
        if int(graph) not in self.executables:
            self.fail("a CUDA graph is launched that is none, or was destroyed")
        self.stream(stream).queue.extend(self.executables[int(graph)])
        self.launches += 1
        return real.cudaError_t.cudaSuccess

    def _cudaEventCreateWithFlags(self, flags: int) -> Any:
        handle = self._handle()
        self.events[handle] = None
        return real.cudaError_t.cudaSuccess, real.cudaEvent_t(handle)

    def _cudaEventRecord(self, event: Any, stream: Any) -> Any:
        found = self.stream(stream)
        reached: list[bool] = []
        self.submit(found, lambda: reached.append(True))
        self.events[int(event)] = (found, found.queue[-1])
        return real.cudaError_t.cudaSuccess

    def _cudaEventSynchronize(self, event: Any) -> Any:
        recorded = self.events[int(event)]
        if recorded is None:
            self.fail("an event is waited for that was never recorded")
        else:
            self.waits += 1
            self._run(*recorded)
        return real.cudaError_t.cudaSuccess

    def _cudaEventDestroy(self, event: Any) -> Any:
        del self.events[int(event)]
        return real.cudaError_t.cudaSuccess

    def _run(self, stream: Stream, until: Work | None) -> None:
        """Do what is queued, up to a mark that was recorded if it is still to come."""
        if until is not None and until not in stream.queue:
            return
        while stream.queue:
            work = stream.queue.pop(0)
            work()
            if work is until:
                return

    def _handle(self) -> int:
        self._handles += 1
        return self._handles

    def _give(self, size: int, kind: str) -> int:
        if size < 1:
            self.fail(f"{size} bytes of memory are asked for")
        room = np.empty(size + _ALIGNED, np.uint8)
        skip = -room.ctypes.data % _ALIGNED
        block = Block(room[skip : skip + size], room.ctypes.data + skip, kind)
        block.bytes.fill(_GIVEN)
        self.blocks.append(block)
        return block.address

    def _take(self, block: Block) -> Any:
        block.live = False
        block.bytes.fill(_FREED)
        return real.cudaError_t.cudaSuccess

    def _block(self, address: int, *kinds: str) -> Block:
        found = [block for block in self.blocks if block.live and block.address == address]
        if not found or found[0].kind not in kinds:
            self.fail(f"no {' or '.join(kinds)} memory was given at {address:#x}, or it was freed")
        return found[0]
