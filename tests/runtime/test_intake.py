from __future__ import annotations

import threading
import time

import pytest

from catseye.runtime.intake import Intake

from .scripted import PATIENCE_S, source_frame


def taken(intake: Intake, most: int) -> list[tuple[int, int]]:
    return [(stream, frame.frame.index) for stream, frame in intake.take(most)]


def test_streams_take_turns() -> None:
    intake = Intake([False, False, True])
    for stream in range(3):
        for number in range(3):
            intake.put(stream, source_frame(number))
    assert taken(intake, 2) == [(0, 0), (1, 0)]
    assert taken(intake, 3) == [(2, 2), (0, 1), (1, 1)]
    assert taken(intake, 9) == [(0, 2), (1, 2)]
    assert intake.most_waiting == [3, 3, 1]


def test_a_newer_live_frame_takes_the_place_of_the_one_that_waits() -> None:
    intake = Intake([True])
    assert [intake.put(0, source_frame(number)) for number in range(4)] == [0, 1, 1, 1]
    assert taken(intake, 9) == [(0, 3)]


@pytest.mark.parametrize("end", ["take", "end", "abandon"])
def test_a_files_decoder_waits_for_room_until_its_end(end: str) -> None:
    intake = Intake([False], depth=2)
    put: list[int] = []
    thread = threading.Thread(target=lambda: put.extend(intake.put(0, source_frame(k)) for k in range(3)))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    if end == "take":
        assert taken(intake, 1) == [(0, 0)]
    elif end == "end":
        intake.end(0)
    else:
        intake.abandon()
    thread.join(PATIENCE_S)
    assert put == ([0, 0, 0] if end == "take" else [0, 0, 1])
    intake.end(0)
    assert taken(intake, 9) == {"take": [(0, 1), (0, 2)], "end": [(0, 0), (0, 1)], "abandon": []}[end]
    assert taken(intake, 9) == []


def test_a_files_decoder_goes_on_when_half_is_free() -> None:
    intake = Intake([False], depth=4)
    thread = threading.Thread(target=lambda: [intake.put(0, source_frame(k)) for k in range(5)])
    thread.start()
    while intake.most_waiting[0] < 4:
        time.sleep(0.001)
    assert taken(intake, 1) == [(0, 0)]
    thread.join(0.1)
    assert thread.is_alive()
    assert taken(intake, 1) == [(0, 1)]
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert taken(intake, 3) == [(0, k) for k in range(2, 5)]
