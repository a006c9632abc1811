from __future__ import annotations

from dataclasses import replace

import pytest

from catseye.runtime.heartbeat import Heartbeat
from catseye.runtime.stream_summary import StreamSummary

FRONT = StreamSummary("front", frames_in=9, processed=7, dropped=2, attempts=1, ended=False)
REAR = replace(FRONT, stream="rear")


@pytest.mark.parametrize(
    ("change", "beats"),
    [
        ({"frames_in": 12, "processed": 9}, True),
        ({}, False),  # a decoder that hangs
        ({"attempts": 2}, True),  # a camera that is away
        ({"frames_in": 12, "dropped": 5}, False),  # an engine that hangs
        ({"frames_in": 12, "dropped": 5, "attempts": 2}, False),
        ({"ended": True}, True),
    ],
)
def test_the_watchdog_is_fed_while_every_stream_goes_on(change: dict[str, int], beats: bool) -> None:
    told: list[str] = []
    beat = Heartbeat(told.append)
    beat([FRONT, REAR])
    assert "READY=1\nWATCHDOG=1" in told[0] and "STATUS=front 7 frames, 2 dropped; rear 7" in told[0]
    beat([replace(FRONT, processed=8, frames_in=10), replace(REAR, **change)])
    assert ("WATCHDOG=1" in told[1]) == beats and "READY" not in told[1]


def test_progress_since_the_last_beat_counts_however_slow() -> None:
    told: list[str] = []
    beat = Heartbeat(told.append)
    beat([FRONT, REAR])
    beat([replace(FRONT, processed=8), REAR])
    beat([replace(FRONT, processed=8), replace(REAR, processed=8)])
    assert ["WATCHDOG=1" in words for words in told] == [True, False, True]
