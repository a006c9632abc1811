"""GStreamer's Python bindings, imported where they are used: they come from the system, not from PyPI."""

from __future__ import annotations

import logging
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from sysconfig import get_config_var
from types import SimpleNamespace
from typing import Any

from catseye.errors import CatseyeError
from catseye.runtime.sources.gstreamer_description import ELEMENTS, Hardware

PACKAGES = "python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-{base,good,bad} gstreamer1.0-libav"

_log = logging.getLogger(__name__)

_JETSON_LINUX = Path("/etc/nv_tegra_release")
_SYSTEMS_GI = Path("/usr/lib/python3/dist-packages/gi")


@cache
def load_gstreamer() -> Any:
    """The namespaces ``Gst`` and ``GstVideo``, initialised, and ``Error``, which GStreamer's calls raise.

    Raises:
        CatseyeError: the bindings are not installed, or are of another Python than this.
    """
    try:
        gi = _import_gi()
        for namespace in ("Gst", "GstVideo"):
            gi.require_version(namespace, "1.0")
        from gi.repository import GLib, Gst, GstVideo
    except (ImportError, ValueError) as error:
        raise CatseyeError(
            f"GStreamer's Python bindings cannot be imported ({error}): apt-get install {PACKAGES}, and run "
            "with the system's Python or a virtual environment of it"
        ) from None
    Gst.init(None)
    return SimpleNamespace(Gst=Gst, GstVideo=GstVideo, Error=GLib.Error)


def hardware_here() -> Hardware:
    """``jetson`` where NVIDIA's decoder and scaler are installed."""
    return "jetson" if not missing_elements("jetson") else "software"


def decodes_by_hardware() -> bool:
    """Whether a camera's stream had better go through GStreamer here. Nothing is imported but on a Jetson."""
    if not _JETSON_LINUX.exists():
        return False
    try:
        return hardware_here() == "jetson"
    except CatseyeError as error:
        _log.warning("streams are decoded by the processor: %s", error)
        return False


def missing_elements(hardware: Hardware) -> list[str]:
    """Elements that the pipelines of a set need and that are not installed."""
    find = load_gstreamer().Gst.ElementFactory.find
    return [name for name in ELEMENTS[hardware] if find(name) is None]


def _import_gi() -> Any:
    """PyGObject, from where Debian puts it if this is a virtual environment that does not look there.

    PyPI has its source only, which needs a compiler and the headers of half a desktop.
    """
    try:
        import gi
    except ImportError:
        spec = spec_from_file_location("gi", _SYSTEMS_GI / "__init__.py")
        if not (_SYSTEMS_GI / f"_gi.{get_config_var('SOABI')}.so").exists() or not (spec and spec.loader):
            raise
        gi = sys.modules["gi"] = module_from_spec(spec)
        try:
            spec.loader.exec_module(gi)
        except ImportError:
            del sys.modules["gi"]
            raise
    return gi
