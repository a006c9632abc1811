"""What a measurement depends on: figures with different fingerprints are not to be compared."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from catseye.version import __version__

_LIBRARIES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "av",
    "opencv-python-headless",
    "opencv-python",
    "tensorrt",
)


@dataclass(frozen=True)
class Fingerprint:
    """The machine, the software and what was measured.

    Args:
        cpu: its model name.
        cores: that this process may use.
        memory_mib: of the machine.
        os: system, kernel and architecture.
        python, catseye, libraries: versions; of the libraries, those installed.
        engine: what executed the graph.
        threads: cores that a call of the engine may use, 0 for all.
        bundle_sha256: of the bundle file.
        input: name of what was fed in.
        input_sha256: of its content.
    """

    cpu: str
    cores: int
    memory_mib: int
    os: str
    python: str
    catseye: str
    libraries: dict[str, str]
    engine: str
    threads: int
    bundle_sha256: str
    input: str
    input_sha256: str

    @classmethod
    def take(
        cls, *, engine: str, threads: int, bundle_sha256: str, input_name: str, input_sha256: str
    ) -> Fingerprint:
        """This machine's."""
        return cls(
            cpu=_cpu_model(),
            cores=len(os.sched_getaffinity(0)),
            memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            os=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
            catseye=__version__,
            libraries={name: found for name in _LIBRARIES if (found := _version(name))},
            engine=engine,
            threads=threads,
            bundle_sha256=bundle_sha256,
            input=input_name,
            input_sha256=input_sha256,
        )

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def _cpu_model() -> str:
    """As Linux names it; boards say what they are in the device tree."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return _read("/proc/device-tree/model").strip("\0\n ") or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
