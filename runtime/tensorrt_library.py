"""Loading a TensorRT, and keeping what it says."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

from catseye.errors import CatseyeError, MissingExtraError

_RTX_BINDINGS = "tensorrt_rtx_bindings"
_RTX_CARRIER = "onnxruntime_ep_nv_tensorrt_rtx"
_RTX_LIBRARIES = ("libcudart.so.*", "libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*")
_KEPT_MESSAGES = 50


@lru_cache(maxsize=2)
def load_tensorrt(backend: str) -> tuple[Any, Any]:
    """The bindings' module, and a logger, of which TensorRT takes only one a process.

    The logger keeps errors: ``clear()`` forgets them, ``reason()`` gives the first as one line.

    Raises:
        MissingExtraError: it is not installed.
        CatseyeError: it is installed and does not load.
    """
    if backend == "tensorrt-rtx":
        trt = _load_rtx()
    elif importlib.util.find_spec("tensorrt") is None:
        raise CatseyeError(
            "tensorrt is not installed; on a Jetson: apt-get install python3-libnvinfer, in a virtual "
            "environment made with --system-site-packages"
        )
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
