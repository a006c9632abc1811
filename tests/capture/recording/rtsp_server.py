"""A camera that misbehaves when told to: an RTSP server, for the system's Python with GStreamer's bindings.

    /usr/bin/python3 rtsp_server.py

Prints its port, then serves ``/camera`` (320x240, 25 fps, a key frame each 12) and ``/proxy`` (160x120).
Reads a word a line: ``drop`` closes every connection, ``stall``/``resume`` stop and go on sending,
``resize WIDTH HEIGHT`` changes the size within the stream, ``jump SECONDS`` sets its time stamps ahead.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # versions are asked for first

GOP = 12
PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! capsfilter name=size caps=video/x-raw,format=I420,"
    "width={width},height={height},framerate=25/1 ! x264enc tune=zerolatency speed-preset=ultrafast "
    "threads=1 bitrate=200 key-int-max={gop} ! "
    "h264parse name=out ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


class Camera(GstRtspServer.RTSPMediaFactory):
    def __init__(self, width, height):
        super().__init__()
        self.stalled = False
        self.medias = []
        self.set_shared(True)
        self.set_launch(PIPELINE.format(width=width, height=height, gop=GOP))
        self.connect("media-configure", self._configure)

    def _configure(self, _factory, media):
        self.medias = [media]
        self._pad().add_probe(Gst.PadProbeType.BUFFER, self._probe)

    def _pad(self):
        return self._find("out").get_static_pad("src")

    def _find(self, name):
        return self.medias[0].get_element().get_by_name(name)

    def _probe(self, _pad, _info):
        return Gst.PadProbeReturn.DROP if self.stalled else Gst.PadProbeReturn.OK

    def resize(self, width, height):
        caps = f"video/x-raw,format=I420,width={width},height={height},framerate=25/1"
        self._find("size").set_property("caps", Gst.Caps.from_string(caps))

    def jump(self, seconds):
        pad = self._pad()
        pad.set_offset(pad.get_offset() + int(seconds * Gst.SECOND))


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    camera, proxy = Camera(320, 240), Camera(160, 120)
    server.get_mount_points().add_factory("/camera", camera)
    server.get_mount_points().add_factory("/proxy", proxy)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()

    def obey(words):
        if words[0] == "drop":
            server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        elif words[0] in ("stall", "resume"):
            camera.stalled = words[0] == "stall"
        elif words[0] == "resize":
            camera.resize(int(words[1]), int(words[2]))
        elif words[0] == "jump":
            camera.jump(float(words[1]))
        print("done", flush=True)
        return False

    def listen():
        for line in sys.stdin:
            if line.split():
                GLib.idle_add(obey, line.split())
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
