"""Reading a clip's frames out of the videos that a dataset was made of, as shown, at their own size."""

from __future__ import annotations

from collections.abc import Sequence

from av.video.frame import VideoFrame

from catseye.capture.exact_video import ExactVideo
from catseye.capture.frame_reader import CorruptClip, Request
from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.manifest import Clip
from catseye.capture.originals import OriginalReader
from catseye.capture.sources import to_frame


class FullFrameReader(OriginalReader):
    """An ``OriginalReader`` whose pictures are (``clip.height``, ``clip.width``, 3)."""

    def read_many(self, requests: Sequence[Request]) -> list[Image | CorruptClip]:
        """As in ``FrameReader``, of clips that are all of one size.

        Raises:
            ValueError: they are not.
        """
        sizes = {(request.clip.width, request.clip.height) for request in requests}
        if len(sizes) > 1:
            raise ValueError(f"clips of different sizes: {sorted(sizes)}; ask for one size at a time")
        self._size = sizes.pop() if sizes else self._size
        return super().read_many(requests)

    def _to_network(self, picture: VideoFrame, clip: Clip, video: ExactVideo) -> Image:
        planes = to_frame(picture, index=0, time_base=clip.time_base, aspect=video.aspect).planes
        if (planes.width, planes.height) != (clip.width, clip.height):
            raise ValueError(f"has a picture of {planes.width}x{planes.height}")
        return planes_to_rgb(planes)
