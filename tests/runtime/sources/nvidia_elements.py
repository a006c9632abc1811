"""Stand-ins for NVIDIA's GStreamer elements: their names, the properties that they have, and their memory.

They take and give what the real ones do by their caps, decoding and scaling with software; so a pipeline that
links and runs here is written as the real elements need it. It says nothing of whether the hardware does as
NVIDIA's documents say.

    python nvidia_elements.py ADDRESS…

runs, in a process of its own that no other test shares, the Jetson's pipeline of each address, and prints a
line of JSON each: sizes of its first frames, and what the scaler was told.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Any

from catseye.capture.geometry import letterbox
from catseye.runtime.sources.gstreamer import GStreamerSource
from catseye.runtime.sources.gstreamer_description import describe
from catseye.runtime.sources.gstreamer_library import load_gstreamer

PROPERTIES: dict[str, dict[str, Any]] = {
    # gst-inspect-1.0 on JetPack 6, as far as it matters here: each with its default.
    "nvv4l2decoder": {"enable-max-performance": False, "disable-dpb": False, "num-extra-surfaces": 1},
    "nvarguscamerasrc": {"sensor-id": 0, "sensor-mode": -1, "do-timestamp": False},
    "nvvidconv": {"interpolation-method": "Nearest", "flip-method": "none", "compute-hw": "Default"},
}

_NVMM = "(memory:NVMM)"
_FRONT = {
    "nvv4l2decoder": "capsfilter name=first caps=video/x-h264;video/x-h265 ! decodebin ! videoconvert "
    "! video/x-raw,format=NV12",
    "nvarguscamerasrc": "videotestsrc is-live=true "
    "! video/x-raw,format=NV12,width=640,height=360,framerate=30/1",
    "nvvidconv": "videoconvert name=first ! video/x-raw(ANY),format=NV12",
}
_BACK = {"nvvidconv": "! videoscale ! videoconvert name=last"}
_AS_IT_IS = "! identity name=last"
_LEAVE = "appsink name=leave sync=false async=false emit-signals=true"
_ENTER = "appsrc name=enter format=time"


def register() -> None:
    """Make ``parse_launch`` find them, in this process."""
    gst = load_gstreamer().Gst
    for name in PROPERTIES:
        assert gst.Element.register(None, name, gst.Rank.NONE, _element(name))


def _element(name: str) -> Any:
    from gi.repository import GObject, Gst

    def init(self: Any) -> None:
        Gst.Bin.__init__(self)
        self.values, self.crossed = dict(PROPERTIES[name]), None
        parts = (f"{_FRONT[name]} ! {_LEAVE}", f"{_ENTER} {_BACK.get(name, _AS_IT_IS)}")
        front, back = (Gst.parse_bin_from_description(part, False) for part in parts)
        leave, self.enter = front.get_by_name("leave"), back.get_by_name("enter")
        # A sink keeps its first frame until the pipeline plays, which may wait for that frame behind it.
        leave.connect("new-preroll", self.cross, "pull-preroll")
        leave.connect("new-sample", self.cross, "pull-sample")
        leave.connect("eos", lambda _: self.enter.emit("end-of-stream"))
        self.add(front)
        self.add(back)
        pads = [("src", back, back.get_by_name("last").get_static_pad("src"))]
        if (first := front.get_by_name("first")) is not None:
            pads.append(("sink", front, first.get_static_pad("sink")))
        for pad, part, inner in pads:
            part.add_pad(Gst.GhostPad.new(pad, inner))
            self.add_pad(Gst.GhostPad.new(pad, part.get_static_pad(pad)))

    def cross(self: Any, sink: Any, pull: str) -> Any:
        sample = sink.emit(pull)
        if sample.get_buffer().pts == self.crossed:
            return Gst.FlowReturn.OK
        self.crossed = sample.get_buffer().pts
        told = sample.get_caps().to_string()
        wanted = self.get_static_pad("src").peer_query_caps(None).to_string()
        if name == "nvvidconv" and _NVMM not in told and _NVMM not in wanted:
            return Gst.FlowReturn.NOT_NEGOTIATED  # one of its sides must be of that memory
        told = told.replace(_NVMM, "")
        if name != "nvvidconv" or _NVMM in wanted:
            told = told.replace("video/x-raw", f"video/x-raw{_NVMM}")
        self.enter.set_property("caps", Gst.Caps.from_string(told))
        return self.enter.emit("push-buffer", sample.get_buffer())

    def get(self: Any, which: Any) -> Any:
        return self.values[which.name]

    def put(self: Any, which: Any, value: Any) -> None:
        self.values[which.name] = value

    flags = GObject.ParamFlags.READWRITE
    properties = {
        key: (str, key, key, default, flags)
        if isinstance(default, str)
        else (bool, key, key, default, flags)
        if isinstance(default, bool)
        else (int, key, key, -1, 100, default, flags)
        for key, default in PROPERTIES[name].items()
    }
    return type(
        name,
        (Gst.Bin,),
        {
            "__gstmetadata__": (name, "Video", "stand-in", "tests"),
            "__gproperties__": properties,
            "__init__": init,
            "cross": cross,
            "do_get_property": get,
            "do_set_property": put,
        },
    )


def main() -> None:
    register()
    for address in sys.argv[1:]:
        source = GStreamerSource(address, hardware="jetson", fit=lambda w, h: letterbox(w, h, 96, 64))
        frames = list(islice(source.frames(), 3))
        source.close()
        scaler = load_gstreamer().Gst.parse_launch(describe(address, hardware="jetson")).get_by_name("scaler")
        told = {
            "sizes": [(f.width, f.height, f.frame.planes.width, f.frame.planes.height) for f in frames],
            "interpolation": scaler.get_property("interpolation-method"),
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
