"""Loading a TensorRT, and keeping what it says.

Two libraries have the one interface: TensorRT, which builds for the GPU it runs on, and TensorRT for RTX. The
runtime uses only names that TensorRT 10.3, TensorRT 11.4 and TensorRT for RTX 1.7 all have, with the same
arguments, so that nothing outside this module asks which one it is; TensorRT for RTX alone can compile
ahead of time.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from catseye.errors import CatseyeError, MissingExtraError

Backend = Literal["tensorrt", "tensorrt-rtx"]

INSTALL = (
    "TensorRT is not installed; on a Jetson: apt-get install python3-libnvinfer, in a virtual environment "
    "made with --system-site-packages; on a server: pip install 'catseye[gpu]'"
)

_RTX_BINDINGS = "tensorrt_rtx_bindings"
_RTX_CARRIER = "onnxruntime_ep_nv_tensorrt_rtx"
_RTX_LIBRARIES = ("libcudart.so.*", "libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*")
_KEPT_MESSAGES = 50


def installed_backend() -> Backend:
    """TensorRT where it is installed, else TensorRT for RTX.

    Raises:
        CatseyeError: neither is.
    """
    backends: tuple[Backend, ...] = ("tensorrt", "tensorrt-rtx")
    for backend in backends:
        if is_installed(backend):
            return backend
    raise CatseyeError(INSTALL)


def is_installed(backend: Backend) -> bool:
    return importlib.util.find_spec("tensorrt" if backend == "tensorrt" else _RTX_BINDINGS) is not None


@lru_cache(maxsize=2)
def load_tensorrt(backend: Backend) -> tuple[Any, Any]:
    """The bindings' module, and a logger, of which TensorRT takes only one a process.

    The logger keeps errors: ``clear()`` forgets them, ``reason()`` gives the first as one line.

    Raises:
        MissingExtraError: it is not installed.
        CatseyeError: it is installed and does not load.
    """
    if backend == "tensorrt-rtx":
        trt = _load_rtx()
    elif not is_installed(backend):
        raise CatseyeError(INSTALL)
    else:
        trt = importlib.import_module("tensorrt")

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]  # its base is known only now
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR and len(self.errors) < _KEPT_MESSAGES:
                self.errors.append(message)

        def clear(self) -> None:
            self.errors.clear()

        def reason(self) -> str:
            return " ".join(self.errors[0].split()) if self.errors else "it gives no reason"

    return trt, Log()


def _load_rtx() -> Any:
    """The bindings find the libraries by name only once they are loaded, and another wheel carries them."""
    carrier = importlib.util.find_spec(_RTX_CARRIER)
    if carrier is None or importlib.util.find_spec(_RTX_BINDINGS) is None:
        raise MissingExtraError("tensorrt-rtx", "plan-check")
    folder = Path((carrier.submodule_search_locations or [""])[0])
    try:
        for pattern in _RTX_LIBRARIES:
            library = next(path for path in sorted(folder.glob(pattern)) if not path.is_symlink())
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module(_RTX_BINDINGS)
    except StopIteration:
        raise CatseyeError(f"tensorrt-rtx does not load: {folder} lacks {pattern}") from None
    except (OSError, ImportError) as error:
        raise CatseyeError(f"tensorrt-rtx does not load: {error}") from None
