"""What a plan depends on: a plan is good only where all of this is as it was when it was built and proven."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from catseye.errors import CatseyeError
from catseye.runtime.cuda import call, device_count, load_cuda
from catseye.runtime.tensorrt_library import Backend, load_tensorrt

_RELEASE = re.compile(r"R(?P<major>\d+).*?REVISION:\s*(?P<minor>[\d.]+)")


class Device(BaseModel):
    """A GPU and the software under it.

    Args:
        gpu: its name; on a Jetson the board's is added.
        compute_capability: such as ``8.7``.
        backend, tensorrt: which TensorRT, and its version.
        driver: the NVIDIA driver's version, where the system tells, and the newest CUDA that it runs.
        cuda: version of the CUDA runtime, such as ``12060``.
        l4t: Jetson Linux's release, which each JetPack has another of, such as ``36.4.0``; else empty.
    """

    model_config = ConfigDict(frozen=True)

    gpu: str
    compute_capability: str
    backend: Backend
    tensorrt: str
    driver: str
    cuda: str
    l4t: str = ""

    def loads_plans_of(self, other: Device) -> bool:
        """Whether TensorRT promises to load here what it built there: same GPU, same TensorRT."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("gpu", "compute_capability", "backend", "tensorrt")
        )


def this_device(backend: Backend) -> Device:
    """The first GPU of this machine.

    Raises:
        MissingExtraError: a library is not installed.
        CatseyeError: there is no GPU that CUDA can use.
    """
    trt, _ = load_tensorrt(backend)
    cuda = load_cuda()
    if device_count() == 0:
        raise CatseyeError(
            "CUDA finds no GPU here; use the board; `--engine onnxruntime` runs without one, "
            "`catseye build --ahead-of-time` checks without one"
        )
    attributes = cuda.cudaDeviceAttr
    major = call(cuda.cudaDeviceGetAttribute, attributes.cudaDevAttrComputeCapabilityMajor, 0)
    minor = call(cuda.cudaDeviceGetAttribute, attributes.cudaDevAttrComputeCapabilityMinor, 0)
    name = call(cuda.cudaGetDeviceProperties, 0).name.decode().strip("\0 ")
    board = _read("/proc/device-tree/model").strip("\0\n ")
    drives = call(cuda.cudaDriverGetVersion)
    return Device(
        gpu=f"{name}, {board}" if board else name,
        compute_capability=f"{major}.{minor}",
        backend=backend,
        tensorrt=trt.__version__,
        driver=f"{_read('/sys/module/nvidia/version').strip()} {drives}".strip(),
        cuda=str(call(cuda.cudaRuntimeGetVersion)),
        l4t=l4t_release(_read("/etc/nv_tegra_release")),
    )


def shares_memory() -> bool:
    """Whether the GPU uses the CPU's memory, as on a Jetson, so that nothing needs to be copied."""
    cuda = load_cuda()
    attributes = cuda.cudaDeviceAttr
    return all(
        call(cuda.cudaDeviceGetAttribute, attribute, 0)
        for attribute in (attributes.cudaDevAttrIntegrated, attributes.cudaDevAttrCanMapHostMemory)
    )


def l4t_release(text: str) -> str:
    """``36.4.0`` from what ``/etc/nv_tegra_release`` says; empty where it says nothing of the kind."""
    found = _RELEASE.search(text)
    return f"{found['major']}.{found['minor']}" if found else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
