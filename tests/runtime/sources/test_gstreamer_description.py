"""Which pipeline reads which address; nothing of GStreamer is needed to say so."""

from __future__ import annotations

from typing import Any

import pytest

from catseye.errors import UsageError
from catseye.runtime.sources.gstreamer_description import describe, kind_of


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("rtsp://10.0.0.2/main", "rtsp"),
        ("rtsps://user:word@camera/main", "rtsp"),
        ("csi://1", "csi"),
        ("/dev/video2", "v4l2"),
        ("/footage/drive.mp4", "file"),
        ("drive one.mp4", "file"),
        ("gst:videotestsrc ! identity", "gst"),
    ],
)
def test_kind_of_address(address: str, kind: str) -> None:
    assert kind_of(address) == kind


def elements(description: str) -> list[str]:
    return [part.split()[0] for part in description.split(" ! ")]


def test_a_jetsons_camera_stays_in_the_engines_memory_up_to_the_scaler() -> None:
    description = describe("csi://1", hardware="jetson", size=(1920, 1080), fps=30)
    parts = description.split(" ! ")
    assert elements(description)[0] == "nvarguscamerasrc" and "sensor-id=1" in parts[0].split()
    assert parts[1] == "video/x-raw(memory:NVMM),width=1920,height=1080,framerate=30/1"
    assert parts[2].startswith("nvvidconv name=scaler")
    assert parts[3].startswith("capsfilter name=size caps=video/x-raw,format=NV12")
    assert elements(description)[4:] == ["appsink"]


@pytest.mark.parametrize("address", ["/dev/video0", "gst:v4l2src device=/dev/video3"])
def test_frames_in_the_processors_memory_are_brought_to_the_scaler(address: str) -> None:
    """``nvvidconv`` needs engines' memory on one of its sides."""
    description = describe(address, hardware="jetson")
    assert "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvvidconv name=scaler" in description
    assert "memory:NVMM" not in describe(address, hardware="software")


@pytest.mark.parametrize("address", ["rtsp://camera/main", "drive.mp4"])
def test_each_hardware_decodes_with_its_own(address: str) -> None:
    assert {"nvv4l2decoder", "nvvidconv"} < set(elements(describe(address, hardware="jetson")))
    software = describe(address, hardware="software")
    assert "decodebin" in elements(software) and "nv" not in {element[:2] for element in elements(software)}


def test_only_a_file_waits_for_whoever_takes_its_frames() -> None:
    assert "drop=false" in describe("drive.mp4", hardware="software")
    assert all(
        "drop=true" in describe(address, hardware="jetson")
        for address in ("csi://0", "rtsp://camera", "/dev/video0")
    )


def test_rtsp_options() -> None:
    rtsp = describe("rtsp://c/?a=1&b=2", hardware="software", latency_ms=40, timeout_s=1.5).split(" ! ")[0]
    assert {'location="rtsp://c/?a=1&b=2"', "latency=40", "tcp-timeout=1500000"} < set(rtsp.split())


def test_a_name_with_quotes_stays_one_value() -> None:
    assert r'location="a \"b\" ! c.mp4"' in describe('a "b" ! c.mp4', hardware="software")


@pytest.mark.parametrize(
    ("address", "options", "says"),
    [
        ("http://camera/", {}, "http://camera/"),
        ("csi://front", {}, "csi://front"),
        ("csi://0", {"fps": 0}, "fps 0"),
        ("csi://0", {"size": (0, 1080)}, "(0, 1080)"),
        ("rtsp://c", {"latency_ms": -1}, "-1"),
    ],
)
def test_what_cannot_be_is_named(address: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as told:
        describe(address, hardware="software", **options)
    assert says in str(told.value)
