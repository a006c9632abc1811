"""A board that is not there: TensorRT and CUDA as the runtime finds them, by ``tensorrt_double``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from cuda_double import CudaDouble
from tensorrt_double import TensorRTDouble

from catseye.runtime import device
from catseye.runtime.tensorrt_library import load_tensorrt


@dataclass
class Board:
    cuda: CudaDouble
    trt: TensorRTDouble


@contextmanager
def board(
    *, integrated: bool = True, can_capture: bool = True, l4t: str = "4.0", **options: Any
) -> Iterator[Board]:
    """Have it in place of the modules; at the end nothing may have been asked for that is not there.

    Args:
        integrated, can_capture: see ``CudaDouble``.
        l4t: revision of Jetson Linux 36.
        options: of ``TensorRTDouble``.
    """
    files = {"/etc/nv_tegra_release": f"# R36 (release), REVISION: {l4t}, GCID: 1, BOARD: generic"}
    cuda = CudaDouble(integrated=integrated, can_capture=can_capture)
    made = Board(cuda, TensorRTDouble(cuda, **options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
        patch.setitem(sys.modules, "tensorrt", made.trt)
        patch.setattr(device, "_read", lambda path: files.get(path, ""))
        load_tensorrt.cache_clear()
        try:
            yield made
        finally:
            load_tensorrt.cache_clear()
    wrong = made.cuda.wrong + made.trt.wrong
    assert not wrong, "; ".join(wrong)
