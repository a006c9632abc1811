"""Decoding on an NVIDIA device (NVDEC), where the libraries and the machine have it."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import av
from av.codec import Codec

from catseye.errors import UsageError

_log = logging.getLogger(__name__)

Decoder = Literal["auto", "cpu", "cuda"]

_DEVICES = (Path("/dev/nvidia0"), Path("/dev/dxg"), Path("/dev/nvhost-nvdec"))
"""What a discrete GPU, one under WSL 2 and a Jetson's decoder show as."""


def check_decoder(decoder: str) -> None:
    """Raise UsageError for another name than ``auto``, ``cpu`` and ``cuda``."""
    if decoder not in get_args(Decoder):
        raise UsageError(f"--decoder {decoder!r}: must be one of {', '.join(get_args(Decoder))}")


def accelerator(decoder: Decoder) -> dict[str, Any]:
    """What ``av.open`` takes to decode so; nothing for the processor.

    NVDEC needs PyAV 14 or later. A codec or profile that the device does not decode falls back to the
    processor within FFmpeg. Pictures come back as NV12 and are the same to the bit for what the standards
    define to the bit, but damage in a stream shows, and is told, in other ways. It has been tried without a
    device only, where it falls back.

    Raises:
        UsageError: there is no such decoder.
    """
    check_decoder(decoder)
    if decoder == "cpu" or (decoder == "auto" and not any(device.exists() for device in _DEVICES)):
        return {}
    fault = _why_not_cuda()
    if fault:
        if decoder == "cuda":
            _warn_once(fault)
        return {}
    from av.codec.hwaccel import HWAccel

    return {"hwaccel": HWAccel("cuda", allow_software_fallback=True)}


@cache
def _why_not_cuda() -> str:
    try:
        from av.codec.hwaccel import HWAccel, hwdevices_available  # PyAV 14
    except ImportError:
        return "this PyAV has no hardware decoding: version 14 or later has"
    if "cuda" not in hwdevices_available():
        return "this PyAV was built without CUDA"
    try:
        HWAccel("cuda").create(Codec("h264", "r"))
    except (av.FFmpegError, OSError, NotImplementedError) as error:
        return f"no CUDA device can be opened ({error})"
    return ""


@cache
def _warn_once(fault: str) -> None:
    _log.warning("--decoder cuda: %s; decoding on the processor", fault)
