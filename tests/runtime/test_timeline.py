from __future__ import annotations

from dataclasses import replace

import pytest

from catseye.runtime.sources.base import SourceFrame
from catseye.runtime.timeline import Timeline

from .scripted import source_frame


def placed(times: list[tuple[float, float]], *, live: bool) -> list[int | None]:
    """The epochs of frames at these times by their own clock and by arrival."""
    timeline = Timeline(live=live)
    epochs = []
    for number, (time_s, arrived_s) in enumerate(times):
        frame = timeline.place(replace(source_frame(number, time_s=time_s), arrived_s=arrived_s))
        epochs.append(None if frame is None else frame.epoch)
    return epochs


@pytest.mark.parametrize(
    ("times", "live", "epochs"),
    [
        ([(0, 0), (0.04, 0.04), (0.08, 0.08)], True, [0, 0, 0]),
        ([(1, 0), (1, 0.01), (0.9, 0.02), (1.1, 0.1)], True, [0, None, None, 0]),
        ([(9, 0), (1, 0.04), (1.04, 0.08)], True, [0, 1, 1]),
        ([(0, 0), (3600, 0.04), (3600.04, 0.08)], True, [0, 1, 1]),
        # Ten seconds away, as the time between arrivals says too.
        ([(0, 0), (10, 10), (10.04, 10.04)], True, [0, 0, 0]),
        # The network holds all back for three seconds.
        ([(0, 0), (0.04, 3), (0.08, 3), (2.96, 3), (3, 3)], True, [0, 0, 0, 1, 1]),
        ([(0, 0), (0.04, 3), (0.08, 3), (0.12, 3)], True, [0, 0, 0, 0]),
        # A file is decoded as fast as it can be, and may leave out an hour.
        ([(0, 0), (3600, 0.01), (3601, 0.02)], False, [0, 0, 0]),
        ([(9, 0), (1, 0.01)], False, [0, 1]),
    ],
)
def test_epochs(times: list[tuple[float, float]], live: bool, epochs: list[int | None]) -> None:
    assert placed(times, live=live) == epochs


def test_an_epoch_of_the_source_and_a_restart_are_epochs() -> None:
    timeline = Timeline(live=True)

    def place(number: int, epoch: int) -> SourceFrame:
        frame = timeline.place(source_frame(number, epoch=epoch))
        assert frame is not None
        return frame

    assert place(5, 0).epoch == 0
    assert place(5, 3).epoch == 1
    timeline.break_off()
    assert place(5, 3).epoch == 2
    assert place(6, 3).epoch == 2
