"""The few CUDA calls that an engine needs: each error as one line, memory that both sides see.

Written against ``cuda.bindings.runtime`` of cuda-bindings 12.6 to 13, in which these calls are the same.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from catseye.errors import CatseyeError, MissingExtraError

_LOADABLE = "cuda.bindings.runtime"


def load_cuda() -> Any:
    """The module ``cuda.bindings.runtime``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(_LOADABLE)
    except ImportError:
        raise MissingExtraError("cuda-bindings", "jetson") from None


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Call a function of the CUDA runtime; return what it gives beside its status.

    Raises:
        CatseyeError: its status is not success.
    """
    status, *values = function(*arguments)
    if int(status) != 0:
        raise CatseyeError(f"{function.__name__} fails: {_describe(status)}")
    return values[0] if values else None


def device_count() -> int:
    """How many GPUs CUDA finds; 0 where there is no driver or no ``cuda-bindings``."""
    try:
        return int(call(load_cuda().cudaGetDeviceCount))
    except CatseyeError:
        return 0


class SharedArray:
    """An array in page-locked memory, and the address at which the GPU finds it.

    Where ``mapped``, as on boards whose CPU and GPU share their memory, both are the same bytes and nothing
    is copied. Otherwise the GPU has memory of its own, which ``to_device`` and ``to_host`` fill and empty.

    Args:
        cuda: what ``load_cuda`` gave.
        shape, dtype: of the array.
        mapped: whether the GPU reads and writes the host's bytes.

    Raises:
        CatseyeError: there is not enough memory.
    """

    def __init__(self, cuda: Any, shape: Sequence[int], dtype: DTypeLike, *, mapped: bool) -> None:
        self._cuda, self._mapped = cuda, mapped
        self._size = math.prod(shape) * np.dtype(dtype).itemsize
        flags = cuda.cudaHostAllocMapped if mapped else cuda.cudaHostAllocDefault
        self._pinned = int(call(cuda.cudaHostAlloc, self._size, flags))
        try:
            self.address = int(
                call(cuda.cudaHostGetDevicePointer, self._pinned, 0)
                if mapped
                else call(cuda.cudaMalloc, self._size)
            )
        except CatseyeError:
            call(cuda.cudaFreeHost, self._pinned)
            raise
        raw = (ctypes.c_uint8 * self._size).from_address(self._pinned)
        self.host: NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(tuple(shape))

    def to_device(self, stream: Any) -> None:
        """Queue the copy to the GPU, where one is needed."""
        if not self._mapped:
            kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
            call(self._cuda.cudaMemcpyAsync, self.address, self._pinned, self._size, kind, stream)

    def to_host(self, stream: Any) -> None:
        """Queue the copy from the GPU, where one is needed."""
        if not self._mapped:
            kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
            call(self._cuda.cudaMemcpyAsync, self._pinned, self.address, self._size, kind, stream)

    def free(self) -> None:
        """Give the memory back. Whoever still holds ``host`` must not touch it."""
        del self.host
        if not self._mapped:
            call(self._cuda.cudaFree, self.address)
        call(self._cuda.cudaFreeHost, self._pinned)


def _describe(status: Any) -> str:
    cuda = load_cuda()
    name, text = (found[1] for found in (cuda.cudaGetErrorName(status), cuda.cudaGetErrorString(status)))
    return f"{name.decode()}, {text.decode()}"
