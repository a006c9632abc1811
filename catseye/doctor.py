"""``doctor``: what this machine has for Catseye, what it lacks, and how to get that."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catseye import extras
from catseye.errors import CatseyeError
from catseye.version import __version__

State = Literal["ok", "absent", "fault"]

_STAGES = {
    "train": "what trains, evaluates or handles labels",
    "export": "export, wrap and demo",
    "upload": "uploads to S3",
    "cluster": "ingest --ray",
    "mcap": "run --mcap",
    "mqtt": "run --mqtt",
}
_CODECS = ("h264", "hevc", "mjpeg", "av1")
_LEAST_FREE = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked for.

    Args:
        part: of the machine or of the software.
        state: ``absent`` is no fault: only what needs it does not work.
        found: what there is.
        remedy: what to do where something is amiss; else empty.
    """

    part: str
    state: State
    found: str
    remedy: str = ""


def examine(place: Path) -> list[Finding]:
    """Look at this machine.

    Args:
        place: where footage or bundles are to lie, for the room there.
    """
    checks = (
        _software,
        _machine,
        _codecs,
        _resizing,
        _onnxruntime,
        _tensorrt,
        _plans,
        _keys,
        _gstreamer,
        _cameras,
        _clock,
        _extras,
    )
    return [finding for check in checks for finding in check()] + [_room(place)]


def _software() -> Iterator[Finding]:
    yield Finding("catseye", "ok", f"{__version__} on Python {platform.python_version()}")


def _machine() -> Iterator[Finding]:
    from catseye.runtime.fingerprint import Machine
    from catseye.runtime.system_files import SystemFiles

    here = Machine.here(SystemFiles())
    quota = "" if here.cpu_quota is None else f", {here.cpu_quota:g} of them granted"
    board = f"{here.board}, " if here.board else ""
    found = f"{board}{here.cpu}, {here.cores} cores{quota}, {here.memory_mib} MiB, {here.os}"
    yield Finding("machine", "ok", found)
    if here.governor not in ("", "performance"):
        remedy = "before measuring: jetson_clocks, or cpupower frequency-set -g performance"
        yield Finding("clock rate", "absent", f"is not fixed: the governor is {here.governor}", remedy)


def _codecs() -> Iterator[Finding]:
    import av
    from av.codec import codecs_available

    missing = [codec for codec in _CODECS if codec not in codecs_available]
    found = f"PyAV {av.__version__} decodes {', '.join(c for c in _CODECS if c not in missing)}"
    remedy = f"for {', '.join(missing)}: install PyAV from PyPI" if missing else ""
    yield Finding("video", "fault" if "h264" in missing else "ok", found, remedy)


def _resizing() -> Iterator[Finding]:
    from catseye.capture.compiled import COMPILED

    if COMPILED is not None:
        yield Finding("resizing", "ok", "compiled")
    else:
        remedy = "apt-get install gcc libc6-dev, and install catseye again"
        yield Finding("resizing", "absent", "is not compiled: NumPy does it, which takes longer", remedy)


def _onnxruntime() -> Iterator[Finding]:
    try:
        import onnxruntime
    except ImportError as error:
        yield Finding("ONNX Runtime", "fault", f"does not load ({error})", "pip install --force onnxruntime")
        return
    providers = ", ".join(
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    )
    yield Finding("ONNX Runtime", "ok", f"{onnxruntime.__version__}: {providers}")


def _tensorrt() -> Iterator[Finding]:
    from catseye.runtime.cuda import device_count
    from catseye.runtime.device import this_device
    from catseye.runtime.tensorrt_library import INSTALL, is_installed

    if not is_installed("tensorrt"):
        where, remedy = INSTALL.partition("; ")[::2]
        yield Finding("TensorRT", "absent", f"{where}: bundles run on ONNX Runtime", remedy)
        return
    try:
        device = this_device("tensorrt")
    except CatseyeError as error:
        state: State = "fault" if device_count() else "absent"
        yield Finding("TensorRT", state, str(error), "docs/deployment.md tells of plans")
        return
    l4t = f", Jetson Linux {device.l4t}" if device.l4t else ""
    found = f"{device.tensorrt} on {device.gpu}, SM {device.compute_capability}, driver {device.driver}{l4t}"
    yield Finding("TensorRT", "ok", found)


def _plans() -> Iterator[Finding]:
    from catseye.runtime.plan_cache import PlanCache, default_folder

    folder = default_folder()
    if not folder.exists():
        return
    try:
        entries = PlanCache(folder).entries()
    except CatseyeError as error:
        yield Finding("plans", "fault", *str(error).rsplit("; ", 1))
        return
    proven = [entry for entry in entries if entry.proven]
    size = sum(entry.plan_size for entry in proven) >> 20
    yield Finding("plans", "ok", f"{len(proven)} proven and {len(entries) - len(proven)} refused, {size} MiB")


def _keys() -> Iterator[Finding]:
    from catseye.runtime.signing import key_home, known_keys

    try:
        keys = known_keys()
    except CatseyeError as error:
        yield Finding("keys", "fault", str(error), "take that file away, and trust or make a key again")
        return
    trusted = [key.id for key in keys if key.trusted]
    if trusted:
        yield Finding("keys", "ok", f"{key_home()} trusts {', '.join(trusted)}")
    else:
        remedy = "catseye keys trust FLEET.pub; or make one here: catseye keys new"
        yield Finding("keys", "absent", f"{key_home()} trusts none, so no bundle opens here", remedy)


def _gstreamer() -> Iterator[Finding]:
    from catseye.runtime.sources.gstreamer_library import load_gstreamer, missing_elements

    try:
        version = load_gstreamer().Gst.version()
    except CatseyeError as error:
        where, remedy = str(error).rpartition(": ")[::2]
        yield Finding("GStreamer", "absent", f"{where}: no CSI cameras", remedy)
        return
    decoders = "without all of NVIDIA's elements" if missing_elements("jetson") else "with NVIDIA's elements"
    yield Finding("GStreamer", "ok", f"{'.'.join(map(str, version[:3]))}, {decoders}")


def _cameras(folder: Path = Path("/dev")) -> Iterator[Finding]:
    devices = sorted(folder.glob("video*"))
    closed = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        remedy = "add the user to the group video: usermod -aG video USER"
        yield Finding("V4L2", "fault", f"{', '.join(closed)}: not for this user", remedy)
    elif devices:
        yield Finding("V4L2", "ok", ", ".join(map(str, devices)))


def _clock() -> Iterator[Finding]:
    if shutil.which("timedatectl") is None:
        return
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.stdout.strip() == "yes":
        yield Finding("clock", "ok", "set from the network")
    elif done.returncode == 0:
        remedy = "start systemd-timesyncd or chrony, or the capture times will be wrong"
        yield Finding("clock", "fault", "is not set from the network or GPS", remedy)


def _extras() -> Iterator[Finding]:
    from catseye.runtime.fingerprint import installed_version

    for extra, modules in extras.LIBRARIES.items():
        if missing := extras.lacking(extra):
            lacks = f"not for {_STAGES[extra]}: lacks {', '.join(missing)}"
            yield Finding(f"[{extra}]", "absent", lacks, f"pip install 'catseye[{extra}]'")
        else:
            found = [f"{name} {installed_version(name.replace('_', '-')) or ''}".strip() for name in modules]
            yield Finding(f"[{extra}]", "ok", ", ".join(found))


def _room(place: Path) -> Finding:
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.1f} GB free at {there}"
    if free < _LEAST_FREE:
        return Finding("disk", "fault", found, "free some, or record with --quota")
    return Finding("disk", "ok", found)
