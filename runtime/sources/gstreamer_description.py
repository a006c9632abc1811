"""Which GStreamer pipeline reads a camera: a text for ``Gst.parse_launch``, by address and hardware.

Addresses: ``rtsp://`` and ``rtsps://``; ``csi://N`` for the sensor N of a Jetson's camera connector;
``/dev/video*``; a file; and ``gst:ELEMENTS`` for whatever else gives raw video, as a GMSL camera's driver.

Three elements are found by name later: ``scaler``, before which the picture has the source's size; ``size``,
whose caps say to which it is scaled; and ``sink``, where frames are taken.

NVIDIA's elements and their properties are those of its "Accelerated GStreamer" guide and of gst-inspect-1.0
on JetPack 5 and 6. ``nvv4l2decoder`` and ``nvarguscamerasrc`` leave frames in the memory that the video
engines share (NVMM); ``nvvidconv`` scales them there, on the VIC, and only what is left is copied out. One
side of it must be such memory, so that what a V4L2 camera gives is brought there first.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from catseye.capture.live import Transport
from catseye.errors import UsageError

Hardware = Literal["jetson", "software"]
Kind = Literal["rtsp", "csi", "v4l2", "file", "gst"]

ELEMENTS = {
    "jetson": ("nvv4l2decoder", "nvvidconv", "appsink"),
    "software": ("decodebin", "videoscale", "videoconvert", "appsink"),
}
"""What each set cannot do without, whatever the address."""

_DECODER = {"jetson": "parsebin ! nvv4l2decoder enable-max-performance=true", "software": "decodebin"}
# nvvidconv takes the nearest pixel unless told otherwise, which aliases; 10-Tap is its longest plain filter.
# Which of videoscale's methods comes nearest to the area filter is measured by bench/scaler_agreement.py.
_SCALER = {
    "jetson": "nvvidconv name=scaler interpolation-method=10-Tap",
    "software": "videoscale name=scaler method=hermite add-borders=false ! videoconvert",
}
_INTO_NVMM = "nvvidconv ! video/x-raw(memory:NVMM),format=NV12"
_SIZE = "capsfilter name=size caps=video/x-raw,format=NV12"


def kind_of(address: str) -> Kind:
    """What an address names.

    Raises:
        UsageError: it is of a protocol that is not among them.
    """
    if address.startswith("gst:"):
        return "gst"
    if re.match(r"rtsps?://", address):
        return "rtsp"
    if address.startswith("csi://"):
        return "csi"
    if re.fullmatch(r"/dev/video\d+", address):
        return "v4l2"
    if "://" in address:
        raise UsageError(
            f"address {address!r}: GStreamer takes rtsp://, csi://N, /dev/video*, a file or gst:…"
        )
    return "file"


def describe(
    address: str,
    *,
    hardware: Hardware,
    transport: Transport = "tcp",
    latency_ms: int = 100,
    timeout_s: float = 5.0,
    size: tuple[int, int] | None = None,
    fps: int | None = None,
) -> str:
    """The pipeline for an address.

    Args:
        address: one of those the module lists.
        hardware: ``jetson`` for NVIDIA's elements, ``software`` for those of any machine.
        transport: what RTSP sends its packets over.
        latency_ms: how long RTSP waits for packets that come late or out of order.
        timeout_s: how long RTSP waits for a connection or an answer.
        size, fps: asked of a CSI or V4L2 camera: width and height, and frames a second; None leaves the
            choice to the driver.

    Raises:
        UsageError: an option or the address cannot be.
    """
    if min(latency_ms, timeout_s, 1 if fps is None else fps, *(size or (1, 1))) <= 0:
        raise UsageError(
            f"latency {latency_ms} ms, timeout {timeout_s} s, size {size}, fps {fps}: give positive numbers"
        )
    kind, decoder = kind_of(address), _DECODER[hardware]
    if kind == "rtsp":
        source = (
            f"rtspsrc name=rtsp location={_quoted(address)} protocols={transport} latency={latency_ms} "
            f"drop-on-latency=true tcp-timeout={round(timeout_s * 1e6)} "
            f"! application/x-rtp,media=video ! {decoder}"
        )
    elif kind == "csi":
        asked = _asked("video/x-raw(memory:NVMM)", size, fps)
        source = f"nvarguscamerasrc sensor-id={_sensor(address)} do-timestamp=true ! {asked}"
    elif kind == "v4l2":
        source = f"v4l2src device={address} ! {_asked('video/x-raw', size, fps)}"
    elif kind == "gst":
        source = address.removeprefix("gst:")
    else:
        source = f"filesrc location={_quoted(address)} ! {decoder}"
    if hardware == "jetson" and kind in {"v4l2", "gst"}:
        source += f" ! {_INTO_NVMM}"
    live = kind != "file"
    # One frame at most waits here; which of a live source's is left out is decided, and counted, behind.
    sink = f"appsink name=sink sync=false emit-signals=true max-buffers=1 drop={str(live).lower()}"
    return f"{source} ! {_SCALER[hardware]} ! {_SIZE} ! {sink}"


def _asked(media: str, size: tuple[int, int] | None, fps: int | None) -> str:
    caps = [media]
    if size is not None:
        caps += [f"width={size[0]}", f"height={size[1]}"]
    if fps is not None:
        caps += [f"framerate={fps}/1"]
    return ",".join(caps)


def _sensor(address: str) -> int:
    if not (number := urlsplit(address).netloc).isdecimal():
        raise UsageError(
            f"address {address!r}: a CSI camera is csi:// and the number of its sensor, as csi://0"
        )
    return int(number)


def _quoted(text: str) -> str:
    """A value that ``parse_launch`` gives on as it is."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
