"""Frames by their time stamps out of footage that may be interlaced, whole, as ``VideoFile.frames`` has them.

What an interlaced picture becomes depends on the pictures before and after it, and on whether the
deinterlacer was at work before: the first picture that it sees has none to compare with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from av.video.frame import VideoFrame

from catseye.capture.display import Deinterlacer
from catseye.capture.exact_video import ExactVideo

_STEP = 8
"""Frames of the first look back for an interlaced one; each further look is twice as long."""


class WholeVideo(ExactVideo):
    """An ``ExactVideo`` that deinterlaces.

    Its ``times`` must be of all frames that ``VideoFile.frames`` gave.
    """

    _interlaced = False

    def pictures(self, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        done = 0
        if not self._interlaced:
            for picture in super().pictures(wanted):
                if picture.interlaced_frame:
                    self._interlaced = True
                    break
                yield picture
                done += 1
        for run in _near(np.searchsorted(self._times.pts, wanted[done:]).tolist()):
            yield from self._run(run)

    def _run(self, places: list[int], before: list[VideoFrame] | None = None) -> Iterator[VideoFrame]:
        """Frames near each other, from what lies between them and a neighbour on either side.

        Args:
            places: theirs among all frames, rising.
            before: an interlaced picture from before the neighbour, or none where there is no such; None
                where that is not known, and is looked up when it matters.
        """
        pts = self._times.pts
        wanted = set(pts[places].tolist())
        first, stop = max(0, places[0] - 1), places[-1] + 2
        known = before is not None or first == 0
        deinterlacer = Deinterlacer()
        for picture in before or ():
            deinterlacer.push(picture)
        for place, picture in enumerate(super().pictures(pts[first:stop].tolist()), first):
            if picture.interlaced_frame:
                if place > first and not known:
                    # What was wanted before this one has been given: none of it was interlaced.
                    rest = [one for one in places if one >= place]
                    if rest:
                        yield from self._run(rest, self._last_interlaced(rest[0] - 1))
                    return
                known = True
            yield from (ready for ready in deinterlacer.push(picture) if ready.pts in wanted)
        if stop > len(pts):
            yield from (ready for ready in deinterlacer.flush() if ready.pts in wanted)

    def _last_interlaced(self, stop: int) -> list[VideoFrame]:
        """The last interlaced picture before a place, if there is one."""
        found: list[VideoFrame] = []
        step = _STEP
        while stop > 0 and not found:
            start = max(0, stop - step)
            for picture in super().pictures(self._times.pts[start:stop].tolist()):
                if picture.interlaced_frame:
                    found = [picture]
            stop, step = start, 2 * step
        return found


def _near(places: list[int]) -> Iterator[list[int]]:
    """Runs of places that have a neighbour in common."""
    run: list[int] = []
    for place in places:
        if run and place - run[-1] > 2:
            yield run
            run = []
        run.append(place)
    if run:
        yield run
