"""One run of a GStreamer pipeline, from its start until it ends, breaks or is closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catseye.capture.geometry import Letterbox
from catseye.errors import CatseyeError, InputError
from catseye.runtime.sources.gstreamer_library import PACKAGES, load_gstreamer
from catseye.runtime.sources.gstreamer_picture import Picture
from catseye.runtime.sources.gstreamer_rtcp import SenderClock

_POLL_S = 0.1
"""How often the pipeline's bus is asked for errors while no frame comes."""


@dataclass(frozen=True)
class Arrived:
    """A decoded frame as it reached the sink.

    Args:
        sample: of NV12, already scaled.
        number: how many frames came before it over this connection, those that were left out among them.
        picture: of the stream before it was scaled.
        running_ns: its time stamp on the pipeline's clock.
        age_s: how long before it reached the sink it had come to this machine, by the same clock.
        arrived_s: when that was, by ``time.perf_counter``.
    """

    sample: Any
    number: int
    picture: Picture
    running_ns: int
    age_s: float
    arrived_s: float


class Connection:
    """Frames of one pipeline, through a place for one frame.

    A live pipeline's frame takes the place of the one that waits there, which is counted as dropped; any
    other waits until the place is free. Once it is closed, ``arrived`` is what was taken and ``dropped``.

    Args:
        name: of the stream, for errors.
        description: see ``gstreamer_description``.
        live: whether frames come at their own pace.
        fit: how a picture of the source's width and height is scaled; None leaves it as it is.

    Raises:
        CatseyeError: GStreamer or an element is not installed, or the description is none.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        live: bool,
        fit: Callable[[int, int], Letterbox] | None,
    ) -> None:
        self._library = load_gstreamer()
        self._name, self._live, self._fit = name, live, fit
        self.arrived = self.dropped = 0
        self._picture: Picture | None = None
        self._waiting: Arrived | None = None
        self._ended = self._closed = False
        self._fault: Exception | None = None
        self._changed = threading.Condition()
        gst = self._library.Gst
        try:
            self._pipeline = gst.parse_launch(description)
        except self._library.Error as error:
            raise CatseyeError(
                f"{name}: GStreamer cannot build its pipeline ({error.message}); apt-get install {PACKAGES}"
            ) from None
        self._sink = self._pipeline.get_by_name("sink")
        self._size = self._pipeline.get_by_name("size")
        self._scaler_pad = self._pipeline.get_by_name("scaler").get_static_pad("sink")
        self._probe = self._scaler_pad.add_probe(gst.PadProbeType.EVENT_DOWNSTREAM, self._on_event)
        self._handlers = [
            self._sink.connect("new-sample", self._on_sample),
            self._sink.connect("eos", self._on_end),
        ]
        rtsp = self._pipeline.get_by_name("rtsp")
        self.sender_clock = SenderClock(rtsp) if rtsp is not None else None
        self._bus = self._pipeline.get_bus()
        self._pipeline.set_state(gst.State.PLAYING)

    def take(self, timeout_s: float) -> Arrived | None:
        """Wait for a frame; None at the end of the stream, and once it is closed.

        Raises:
            InputError: the pipeline broke, or no frame came for so long.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._read_bus()  # each time, so that no messages pile up in it
            while self._waiting is None:
                if self._fault is not None:
                    self._raise_fault()
                if self._ended or self._closed:
                    return None
                if time.monotonic() > deadline_s:
                    raise InputError(
                        self._name, f"sent no frame for {timeout_s:g} s", "check the camera and the network"
                    )
                self._changed.wait(_POLL_S)
                self._read_bus()
            taken, self._waiting = self._waiting, None
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Stop the pipeline and its threads, and let go of all it holds. Twice does no harm."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            if self._waiting is not None:
                self._waiting = None
                self.dropped += 1
            self._changed.notify_all()
        # A streaming thread may be in a callback of ours; the state changes once it has returned.
        self._pipeline.set_state(self._library.Gst.State.NULL)
        for handler in self._handlers:
            self._sink.disconnect(handler)
        self._scaler_pad.remove_probe(self._probe)
        if self.sender_clock is not None:
            self.sender_clock.close()

    def _raise_fault(self) -> None:
        """Raise it and let go of it.

        Its traceback refers to this, which with the pipeline would stay until garbage is collected, and while
        a camera is away each attempt would add descriptors.
        """
        fault, self._fault = self._fault, None
        self._ended = True
        assert fault is not None
        try:
            raise fault
        finally:
            del fault

    def _read_bus(self) -> None:
        kind = self._library.Gst.MessageType
        message = self._bus.pop_filtered(kind.ERROR | kind.EOS)
        if message is None:
            return
        if message.type == kind.EOS:
            self._ended = True
        elif self._fault is None:
            error, _ = message.parse_error()
            fault = f"cannot be read ({error.message.rstrip('.')})"
            self._fault = InputError(self._name, fault, "check the address, the camera and the network")

    def _on_event(self, _pad: Any, info: Any) -> Any:
        """New caps on the way to the scaler, in the order of the frames: what it shall make of them."""
        gst = self._library.Gst
        event = info.get_event()
        if event.type == gst.EventType.CAPS:
            try:
                self._scale(event.parse_caps())
            except Exception as error:  # GStreamer would print it and go on
                self._fail(error)
        return gst.PadProbeReturn.OK

    def _scale(self, caps: Any) -> None:
        self._picture = Picture.of(caps)
        width, height = self._picture.width, self._picture.height
        if self._fit is not None:
            box = self._fit(width, height)
            width, height = box.scaled_width, box.scaled_height
        scaled = f"video/x-raw,format=NV12,width={width},height={height}"
        self._size.set_property("caps", self._library.Gst.Caps.from_string(scaled))

    def _on_sample(self, sink: Any) -> Any:
        flow = self._library.Gst.FlowReturn
        sample = sink.emit("pull-sample")
        if sample is None:
            return flow.EOS
        try:
            frame = self._frame(sample)
        except Exception as error:  # likewise
            self._fail(error)
            return flow.ERROR
        with self._changed:
            self.arrived += 1
            while self._waiting is not None and not self._live and not self._closed:
                self._changed.wait()
            if self._closed:
                self.dropped += 1
                return flow.FLUSHING
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = frame
            self._changed.notify_all()
        return flow.OK

    def _frame(self, sample: Any) -> Arrived:
        assert self._picture is not None  # caps come before frames
        gst = self._library.Gst
        now_ns = self._pipeline.get_clock().get_time() - self._pipeline.get_base_time()
        running_ns = sample.get_segment().to_running_time(gst.Format.TIME, sample.get_buffer().pts)
        if running_ns == gst.CLOCK_TIME_NONE:  # it has no time stamp, or none within the stream
            running_ns = now_ns
        age_s = max(0.0, (now_ns - running_ns) / gst.SECOND) if self._live else 0.0
        return Arrived(
            sample=sample,
            number=self.arrived,
            picture=self._picture,
            running_ns=running_ns,
            age_s=age_s,
            arrived_s=time.perf_counter() - age_s,
        )

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._fault = error
            self._changed.notify_all()

    def _on_end(self, _sink: Any) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
