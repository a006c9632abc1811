"""What an encoder costs: counted, and measured on this machine."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.evaluation.summary import Machine

_WARM_UP = 5


@torch.no_grad()
def encoder_cost(encoder: Encoder, *, width: int, height: int, repeats: int = 30) -> dict[str, float]:
    """Cost of one frame (1, 3, height, width) in float32.

    Returns:
        ``encoder_parameters`` in millions; ``encoder_gflops``, a multiply-add counted as two;
        ``encoder_latency_ms``, the median of ``repeats`` passes.
    """
    frame = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        encoder(frame)
    for _ in range(_WARM_UP):
        encoder(frame)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        encoder(frame)
        seconds.append(time.perf_counter() - start)
    return {
        "encoder_parameters": sum(weight.numel() for weight in encoder.parameters()) / 1e6,
        "encoder_gflops": counter.get_total_flops() / 1e9,
        "encoder_latency_ms": float(np.median(seconds)) * 1e3,
    }


def this_machine() -> Machine:
    """The processor's name and the threads that torch takes."""
    return Machine(processor=_processor(), threads=torch.get_num_threads())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} logical cores"
