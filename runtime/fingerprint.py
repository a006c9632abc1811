"""What a measurement depends on: figures with different fingerprints are not to be compared."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict

from catseye.runtime.cores import cpu_quota
from catseye.runtime.device import l4t_release
from catseye.runtime.system_files import SystemFiles
from catseye.version import __version__

_LIBRARIES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "av",
    "opencv-python-headless",
    "opencv-python",
    "tensorrt",
    "cuda-bindings",
)
_MAY_DIFFER = frozenset({"catseye", "bundle_sha256", "input"})
"""What a comparison is about, and what is told by a hash beside it."""


class Machine(BaseModel):
    """A machine and its settings. What it lacks is empty or None.

    Args:
        cpu, board: model names.
        cores: that this process may use.
        cpu_quota: how many cores' time the container may take (cgroup), or None for no limit.
        memory_mib: of the machine.
        os: system, kernel and architecture.
        governor: how the processor's clock is chosen.
        cpu_max_mhz: the highest it may be.
        power_mode: a Jetson's, as ``nvpmodel`` names it; l4t: its Jetson Linux.
    """

    model_config = ConfigDict(frozen=True)

    cpu: str
    board: str
    cores: int
    cpu_quota: float | None
    memory_mib: int
    os: str
    governor: str
    cpu_max_mhz: float | None
    power_mode: str
    l4t: str

    @staticmethod
    def here(files: SystemFiles) -> Machine:
        """The one that this runs on."""
        cpufreq = "sys/devices/system/cpu/cpu0/cpufreq"
        highest, quota = files.number(f"{cpufreq}/scaling_max_freq"), cpu_quota(files)
        return Machine(
            cpu=_cpu_model(files),
            board=files.text("proc/device-tree/model"),
            cores=len(os.sched_getaffinity(0)),
            cpu_quota=None if quota is None else round(quota, 3),
            memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            os=f"{platform.system()} {platform.release()} {platform.machine()}",
            governor=files.text(f"{cpufreq}/scaling_governor"),
            cpu_max_mhz=None if highest is None else highest / 1e3,
            power_mode=power_mode(files),
            l4t=l4t_release(files.text("etc/nv_tegra_release")),
        )


class Fingerprint(Machine):
    """The machine, the software and what was measured. What is absent is empty or None.

    Args:
        gpu, driver: by CUDA, where the engine runs there.
        python, catseye, libraries: versions; of the libraries, those installed.
        engine: what executed the graph; precision: which graph it was.
        threads: cores that a call of the engine may use, 0 for all.
        network: size, batch and layout of the graph's input.
        bundle_sha256: of the bundle file.
        input: name of what was fed in; input_sha256: of its content.
    """

    gpu: str
    driver: str
    python: str
    catseye: str
    libraries: dict[str, str]
    engine: str
    precision: str
    threads: int
    network: str
    bundle_sha256: str
    input: str
    input_sha256: str

    @classmethod
    def take(
        cls,
        *,
        engine: str,
        precision: str,
        threads: int,
        network: str,
        bundle_sha256: str,
        input_name: str,
        input_sha256: str,
        files: SystemFiles | None = None,
    ) -> Fingerprint:
        """This machine's."""
        gpu, driver = _gpu(engine)
        return cls(
            **Machine.here(files or SystemFiles()).model_dump(),
            gpu=gpu,
            driver=driver,
            python=platform.python_version(),
            catseye=__version__,
            libraries={name: found for name in _LIBRARIES if (found := installed_version(name))},
            engine=engine,
            precision=precision,
            threads=threads,
            network=network,
            bundle_sha256=bundle_sha256,
            input=input_name,
            input_sha256=input_sha256,
        )

    def differences(self, other: Fingerprint) -> dict[str, tuple[object, object]]:
        """What makes figures of the two incomparable: this one's and the other's value by name.

        The bundle and Catseye itself may differ, since they are what is compared.
        """
        ours, theirs = self.model_dump(), other.model_dump()
        return {
            name: (ours[name], theirs[name])
            for name in ours
            if name not in _MAY_DIFFER and ours[name] != theirs[name]
        }


def power_mode(files: SystemFiles) -> str:
    """A Jetson's, with its number: what ``nvpmodel -q`` tells, from the files that it tells it from."""
    found = re.search(r"pmode:0*(\d+)", files.text("var/lib/nvpmodel/status"))
    if found is None:
        return ""
    names = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", files.text("etc/nvpmodel.conf"))
    return f"{found[1]} {dict(names).get(found[1], '')}".strip()


def _gpu(engine: str) -> tuple[str, str]:
    """Name and driver of the GPU that an engine runs on; empty on a processor."""
    if not engine.startswith("tensorrt"):
        return "", ""
    from catseye.runtime.device import this_device
    from catseye.runtime.tensorrt_library import installed_backend

    device = this_device(installed_backend())
    return f"{device.gpu}, {device.compute_capability}", f"{device.driver}, CUDA {device.cuda}"


def _cpu_model(files: SystemFiles) -> str:
    """As Linux names it; ARM's are numbers, and the board's name says more."""
    lines = {}
    for line in files.text("proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        lines[name.strip()] = value.strip()
    return lines.get("model name") or lines.get("CPU part") or platform.machine()


def installed_version(library: str) -> str | None:
    """Of a distribution; None where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None
