"""Where the decoders of all streams leave their frames, and inference takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Intake(Generic[T]):
    """Frames that wait for inference: of a live stream the newest alone, of others a few.

    Args:
        live: of each stream whether it is. The decoder of one that is not waits for room, and then until half
            is free: what decodes several frames in a row finds its code and tables in the caches.
        depth: frames of such a stream that may wait.

    Attributes:
        most_waiting: of each stream, the most frames that have waited at once.
    """

    def __init__(self, live: Sequence[bool], *, depth: int = 4) -> None:
        self._live, self._depth = tuple(live), depth
        self._waiting: list[deque[T]] = [deque() for _ in live]
        self._open = set(range(len(live)))
        self._turn = 0
        self._changed = threading.Condition()
        self.most_waiting = [0 for _ in live]

    def put(self, stream: int, frame: T) -> int:
        """Leave a frame, and return how many are dropped for it.

        That is 1 where it takes the place of an older one, or itself comes after the stream's end.
        """
        waiting = self._waiting[stream]
        with self._changed:
            while not self._live[stream] and len(waiting) >= self._depth and stream in self._open:
                self._changed.wait()
            if stream not in self._open:
                return 1
            dropped = 0
            if self._live[stream] and waiting:
                waiting.clear()
                dropped = 1
            waiting.append(frame)
            self.most_waiting[stream] = max(self.most_waiting[stream], len(waiting))
            self._changed.notify_all()
            return dropped

    def take(self, most: int) -> list[tuple[int, T]]:
        """Up to ``most`` frames with the numbers of their streams, which take turns; none when all ended.

        With a live stream among them what is there goes at once; otherwise ``most`` are waited for.
        """
        taken: list[tuple[int, T]] = []
        with self._changed:
            while len(taken) < most:
                stream = self._next()
                if stream is not None:
                    waiting = self._waiting[stream]
                    taken.append((stream, waiting.popleft()))
                    if len(waiting) == self._depth // 2:
                        self._changed.notify_all()
                elif not self._open or (taken and any(self._live)):
                    break
                else:
                    self._changed.wait()
        return taken

    def end(self, stream: int) -> None:
        """Nothing more comes of a stream; what waits of it is still taken."""
        with self._changed:
            self._open.discard(stream)
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nothing more comes of any stream, and what waits is let go."""
        with self._changed:
            self._open.clear()
            for waiting in self._waiting:
                waiting.clear()
            self._changed.notify_all()

    def _next(self) -> int | None:
        """The stream whose turn it is among those that have a frame."""
        count = len(self._waiting)
        for step in range(count):
            stream = (self._turn + step) % count
            if self._waiting[stream]:
                self._turn = stream + 1
                return stream
        return None
