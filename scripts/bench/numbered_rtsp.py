"""A camera that films numbers: an RTSP server, for the system's Python with GStreamer's bindings.

    /usr/bin/python3 numbered_rtsp.py

Prints its port, then serves ``/camera``: pictures as ``numbered_footage`` has them, 25 a second, numbered by
the time since the start, whoever looks or not. Prints a line of JSON a frame that has left the encoder for
somebody: its ``number``, and the ``at_s`` it was filmed by the monotonic clock. Reads a word a line: ``drop``
breaks every connection, and is answered by how many those were: ``{"dropped": 1}``; ``down`` does so and
takes none any more, until ``up``, which is answered by when that was: ``{"up_at_s": 4.2}``.
"""

import json
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # versions are asked for first

WIDTH, HEIGHT, BITS = 128, 64, 16
RATE, GOP = 25, 12
X264_OFFSET_NS = 1000 * 3600 * 10**9
"""x264enc puts its time stamps so far ahead, to have room for dts before pts."""

PIPELINE = (
    f"( appsrc name=lens is-live=true format=time caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},"
    f"framerate={RATE}/1 ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={GOP} ! "
    "h264parse name=out ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


def numbered(number):
    """Planes of a grey picture whose columns are the number's bits, from the lowest."""
    levels = (32 + 192 * (number >> bit & 1) for bit in range(BITS))
    row = b"".join(bytes([level]) * (WIDTH // BITS) for level in levels)
    return row * HEIGHT + b"\x80" * (WIDTH * HEIGHT // 2)


class Camera(GstRtspServer.RTSPMediaFactory):
    """Films into whichever pipeline plays; time stamps are of the moment that each picture is due."""

    def __init__(self):
        super().__init__()
        self.set_shared(True)
        self.set_launch(PIPELINE)
        self.connect("media-configure", self._configure)
        self._pipeline = None
        self._began_ns = time.monotonic_ns()  # which is what GStreamer's clock shows
        self._filmed = -1
        GLib.timeout_add(5, self._film)

    def _configure(self, _factory, media):
        self._pipeline = media.get_element()
        out = self._pipeline.get_by_name("out").get_static_pad("src")
        out.add_probe(Gst.PadProbeType.BUFFER, self._tell)

    def _film(self):
        now = (time.monotonic_ns() - self._began_ns) * RATE // Gst.SECOND
        plays = self._pipeline is not None and self._pipeline.current_state == Gst.State.PLAYING
        while self._filmed < now:
            self._filmed += 1
            picture = Gst.Buffer.new_wrapped(numbered(self._filmed))
            due_ns = self._began_ns + self._filmed * Gst.SECOND // RATE
            if plays and due_ns >= self._pipeline.base_time:
                picture.pts = due_ns - self._pipeline.base_time
                picture.duration = Gst.SECOND // RATE
                self._pipeline.get_by_name("lens").emit("push-buffer", picture)
        return True

    def _tell(self, _pad, info):
        due_ns = info.get_buffer().pts % X264_OFFSET_NS + self._pipeline.base_time
        number = round((due_ns - self._began_ns) * RATE / Gst.SECOND)
        tell({"number": number, "at_s": due_ns / Gst.SECOND})
        return Gst.PadProbeReturn.OK


def tell(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/camera", Camera())
    listening = [server.attach(None)]
    tell({"port": server.get_bound_port()})
    server.set_service(str(server.get_bound_port()))
    loop = GLib.MainLoop()

    def obey(word):
        if word == "up":
            listening.append(server.attach(None))
            tell({"up_at_s": time.monotonic()})
            return False
        if word == "down":
            GLib.source_remove(listening.pop())
        dropped = server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF)
        server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        tell({"dropped": len(dropped)})
        return False

    def listen():
        for line in sys.stdin:
            GLib.idle_add(obey, line.strip())
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
