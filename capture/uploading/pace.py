"""How fast bytes may leave, and how many have left."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from catseye.capture.backoff import Backoff

_T = TypeVar("_T")

_LONGEST_WAIT_S = 60.0


class DamagedError(OSError):
    """What arrived is not what was sent. Sending it was no progress, however many bytes it took."""


class TokenBucket:
    """Lets so many bytes pass in a second on average, and a second's worth at once after a pause.

    Args:
        bytes_per_s: the rate, above 0.
        clock, sleep: for tests.
    """

    def __init__(
        self,
        bytes_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_s, clock, sleep
        self._tokens, self._filled_at = bytes_per_s, clock()

    def take(self, count: int) -> None:
        """Wait until the bytes taken before are paid for, then take ``count``, on credit if need be."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 0:
            self._sleep(-self._tokens / self._rate)
        self._tokens -= count


class Meter:
    """Counts what is sent and what was there already, and holds the rate.

    Args:
        bucket: the rate; None for no limit.
        on_bytes: called with every further count of bytes that are in place at the target.
    """

    def __init__(
        self, bucket: TokenBucket | None, on_bytes: Callable[[int], None] = lambda count: None
    ) -> None:
        self._bucket, self._on_bytes = bucket, on_bytes
        self.sent_bytes = 0
        self.resumed_bytes = 0

    def wait(self, count: int) -> None:
        """Before so many bytes are sent."""
        if self._bucket is not None:
            self._bucket.take(count)

    def sent(self, count: int) -> None:
        """So many bytes have been sent."""
        self.sent_bytes += count
        self._on_bytes(count)

    def resumed(self, count: int) -> None:
        """So many bytes are at the target from an earlier attempt."""
        self.resumed_bytes += count
        self._on_bytes(count)


def retrying(
    action: Callable[[], _T],
    *,
    attempts: int,
    progress: Callable[[], int],
    sleep: Callable[[float], None],
    chance: Callable[[], float] = random.random,
) -> _T:
    """Do something that a network can break, again after waits that grow (``Backoff``), until it is done.

    Args:
        action: can be broken off and called again.
        attempts: this many failures with no progress between them are final.
        progress: a count that grows as the action gets on; growth starts the counting of failures afresh, but
            after a ``DamagedError``.
        sleep: waits seconds.
        chance: see ``Backoff``.

    Raises:
        OSError: of the last attempt. ``FileNotFoundError`` and ``PermissionError`` are raised at once.
    """
    backoff = Backoff(_LONGEST_WAIT_S, chance=chance)
    while True:
        before = progress()
        try:
            return action()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if progress() > before and not isinstance(error, DamagedError):
                backoff.reset()
            wait_s = backoff.next_s()
            if backoff.failures >= attempts:
                raise
            sleep(wait_s)
