from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.errors import UsageError
from catseye.pretrain.pseudo_labels import (
    Sightings,
    TrackRules,
    Verdict,
    complete,
    join_directions,
    judge,
    majority,
    pseudo_label,
    smoothness,
    tracks_of,
)

TIMES = np.arange(20) / 10
RULES = TrackRules()


def track(frames: range | list[int], *, score: float = 0.8, jump: float = 0.0, number: int = 0) -> Sightings:
    """A vehicle of 20×10 pixels that moves by two pixels a frame, and jumps to and fro."""
    frame = np.array(frames)
    left = 10 + 2.0 * frame + jump * (frame % 2)
    boxes = np.stack([left, 0 * left + 5, left + 20, 0 * left + 15], axis=1).astype(np.float32)
    count = len(frame)
    return Sightings(
        frame=frame,
        boxes=boxes,
        scores=np.full(count, score, dtype=np.float32),
        classes=np.zeros(count, dtype=np.int32),
        track=np.full(count, number),
    )


def together(*tracks: Sightings) -> Sightings:
    names = Sightings.__dataclass_fields__
    return Sightings(**{name: np.concatenate([getattr(t, name) for t in tracks]) for name in names})


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (track(range(15)), Verdict.KEPT),
        (track(range(15), score=0.3), Verdict.DOUBTFUL),  # long and smooth, but not sure
        (track(range(15), score=0.1), Verdict.NOISE),
        (track(range(3)), Verdict.DOUBTFUL),  # sure, but short
        (track(range(3), score=0.4), Verdict.NOISE),
        (track([0, 5, 10, 15]), Verdict.DOUBTFUL),  # mostly not there
        (track(range(15), jump=15), Verdict.DOUBTFUL),  # no vehicle moves like that
        (track([4]), Verdict.DOUBTFUL),
        (track([4], score=0.4), Verdict.NOISE),
    ],
)
def test_a_track_is_judged_by_how_long_how_smooth_and_how_sure(seen: Sightings, verdict: Verdict) -> None:
    assert judge(seen, TIMES, RULES) is verdict


def test_smoothness_is_of_time_not_of_frame_numbers() -> None:
    """A frame that came late: at constant speed the vehicle is farther on by then."""
    times = np.array([0.0, 0.1, 0.4, 0.5])
    seen = track(range(4))
    boxes = seen.boxes + (20 * times - 2 * np.arange(4))[:, None] * np.array([1, 0, 1, 0])
    steady = replace(seen, boxes=boxes.astype(np.float32))
    assert smoothness(steady, times) == pytest.approx(1, abs=1e-5)
    assert smoothness(steady, TIMES) < 0.9


def test_a_weak_or_missed_sighting_of_a_sure_track_is_kept() -> None:
    seen = track([0, 1, 2, 3, 5, 6, 7, 8])
    seen.scores[2] = 0.06
    labels = pseudo_label(seen, TIMES, RULES)
    assert labels.frame.tolist() == list(range(9))
    assert not labels.crowd.any()
    assert labels.boxes[4].tolist() == pytest.approx([18, 5, 38, 15])
    assert labels.scores == pytest.approx(0.8)


def test_where_a_vehicle_was_missed_for_long_it_is_in_doubt() -> None:
    labels = pseudo_label(track([*range(6), *range(12, 20)]), TIMES, RULES)
    assert labels.frame[labels.crowd].tolist() == list(range(6, 12))


def test_of_several_tracks_each_has_its_own_verdict() -> None:
    weak = track(range(15), score=0.3, number=1)
    below = replace(weak, boxes=weak.boxes + np.float32([0, 30, 0, 30]))
    seen = together(track(range(15), number=3), below, track(range(2), score=0.2, number=7))
    labels = pseudo_label(seen, TIMES, RULES)
    assert np.count_nonzero(~labels.crowd) == 15 and np.count_nonzero(labels.crowd) == 15
    assert labels.scores[labels.crowd] == pytest.approx(0.3)


def test_a_vehicle_that_was_followed_twice_has_one_box() -> None:
    seen = track(range(15), number=1)
    larger = replace(track(range(15), score=0.7, number=2), boxes=seen.boxes + np.float32([-1, -1, 1, 1]))
    labels = pseudo_label(together(larger, seen), TIMES, RULES)
    assert labels.scores == pytest.approx(0.8)
    assert labels.frame.tolist() == list(range(15))
    beside = replace(larger, boxes=seen.boxes + np.float32([15, 0, 15, 0]))
    assert len(pseudo_label(together(beside, seen), TIMES, RULES).frame) == 30


def test_what_is_in_doubt_within_a_vehicle_is_left_out() -> None:
    seen = track(range(15), number=1)
    part = replace(track(range(15), score=0.3, number=2), boxes=seen.boxes + np.float32([12, 2, 4, -2]))
    assert not pseudo_label(together(part, seen), TIMES, RULES).crowd.any()
    away = replace(part, boxes=seen.boxes + np.float32([15, 0, 15, 0]))
    assert pseudo_label(together(away, seen), TIMES, RULES).crowd.sum() == 15


def test_detections_of_no_track_stand_alone() -> None:
    seen = replace(track(range(5)), track=np.array([-1, 4, -1, 4, 4]))
    assert [found.frame.tolist() for found in tracks_of(seen)] == [[1, 3, 4], [0], [2]]


def test_nothing_seen_gives_no_labels() -> None:
    nothing = track([])
    labels = pseudo_label(nothing, TIMES, RULES)
    assert len(labels.frame) == 0 and labels.boxes.shape == (0, 4)


def test_a_completed_track_says_how_long_it_was_missed() -> None:
    at, boxes, missed_s = complete(track([2, 3, 6]), TIMES)
    assert at.tolist() == [2, 3, 4, 5, 6]
    assert missed_s == pytest.approx([0, 0, 0.3, 0.3, 0])
    assert boxes[:, 0].tolist() == pytest.approx([14, 16, 18, 20, 22])


def test_the_class_is_that_of_most_of_the_score() -> None:
    seen = replace(
        track(range(3)),
        classes=np.array([2, 1, 1], dtype=np.int32),
        scores=np.array([0.9, 0.2, 0.3], dtype=np.float32),
    )
    assert majority(seen) == 2


def numbers(*values: int) -> NDArray[np.int64]:
    return np.array(values)


def test_tracks_followed_backwards_lengthen_those_followed_forwards() -> None:
    forwards = numbers(-1, -1, 1, 1, 2, -1, -1)
    backwards = numbers(-1, 5, 5, 5, -1, 6, 6)
    frame = numbers(0, 1, 2, 3, 3, 4, 5)
    joined = join_directions(forwards, backwards, frame)
    assert joined.tolist() == [-1, 1, 1, 1, 2, 3, 3]


def test_a_track_has_one_sighting_a_frame_whichever_way_it_was_followed() -> None:
    forwards = numbers(1, 1, 1, -1)
    backwards = numbers(4, 4, -1, 4)
    frame = numbers(0, 1, 2, 2)
    assert join_directions(forwards, backwards, frame).tolist() == [1, 1, 1, -1]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"sure": 0.1}, "weak 0.15, sure 0.1"),
        ({"min_smooth": 1.2}, "min_smooth 1.2"),
        ({"fill_s": -1.0}, "fill_s -1.0"),
    ],
)
def test_rules_that_cannot_be_are_named(rules: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrackRules(**rules)
