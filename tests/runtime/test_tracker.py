from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from catseye.errors import UsageError
from catseye.runtime import Tracker, Tracks


def box(x: float, y: float, w: float = 60.0, h: float = 40.0) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def step(
    tracker: Tracker, boxes: list[list[float]], time_s: float, score: float = 0.9, kind: int = 0
) -> Tracks:
    return tracker.update(boxes, [score] * len(boxes), [kind] * len(boxes), time_s=time_s)


def test_ids_last_through_an_occlusion_of_a_second() -> None:
    tracker = Tracker()
    for k in range(25):
        before = step(tracker, [box(100 + 80 * k / 25, 200), box(900, 500)], k / 25)
    for k in range(25, 50):
        hidden = step(tracker, [box(900, 500)], k / 25)
        assert len(hidden) == 1
    after = step(tracker, [box(100 + 80 * 50 / 25, 200), box(900, 500)], 50 / 25)
    assert after.ids.tolist() == before.ids.tolist() == [1, 2]
    assert after.ages_s == pytest.approx([2.0, 2.0])


def test_a_track_lost_too_long_ends() -> None:
    tracker = Tracker(max_lost_s=1.0)
    for k in range(10):
        step(tracker, [box(300, 200)], k / 10)
    assert len(step(tracker, [], 2.2)) == 0
    step(tracker, [box(300, 200)], 2.3)
    assert step(tracker, [box(300, 200)], 2.4).ids.tolist() == [2]


def test_crossing_targets_keep_their_ids() -> None:
    tracker = Tracker()
    for k in range(60):
        t = k / 25
        tracks = step(tracker, [box(100 + 200 * t, 200 + 20 * t), box(580 - 200 * t, 250 - 20 * t)], t)
    assert tracks.ids.tolist() == [1, 2]
    left_to_right, right_to_left = tracks.boxes_xyxy
    assert left_to_right[0] > right_to_left[0]


def test_uneven_frame_times_are_followed() -> None:
    """A box 60 px wide at 300 px/s: a tracker that took all steps for equal would lose it at long ones."""
    draw = np.random.default_rng(0)
    tracker, t = Tracker(), 0.0
    for k in range(60):
        t += 0.04 if k < 8 else float(draw.choice([0.02, 0.04, 0.12, 0.4]))
        tracks = step(tracker, [box(100 + 300 * t, 200)], t)
        if len(tracks):
            assert tracks.ids.tolist() == [1]
    assert tracks.boxes_xyxy[0] == pytest.approx(box(100 + 300 * t, 200), abs=3)


def test_weak_detections_continue_a_track_and_start_none() -> None:
    tracker = Tracker()
    for k in range(30):
        score = 0.9 if k < 10 else 0.15
        tracks = step(tracker, [box(200 + 2 * k, 200)], k / 25, score)
        assert tracks.ids.tolist() == [1]
    assert tracks.scores == pytest.approx([0.15])
    fresh = Tracker()
    for k in range(30):
        assert len(step(fresh, [box(200, 200)], k / 25, 0.35)) == 0


def test_a_single_false_alarm_gets_no_id() -> None:
    tracker = Tracker()
    step(tracker, [], 0.0)
    assert len(step(tracker, [box(200, 200)], 0.04)) == 0
    for k in range(2, 20):
        assert len(step(tracker, [], k / 25)) == 0
    step(tracker, [box(700, 200)], 0.80)
    assert step(tracker, [box(700, 200)], 0.84).ids.tolist() == [1]


def test_a_weak_detection_does_not_confirm_what_one_confident_one_began() -> None:
    tracker = Tracker(max_unconfirmed_s=1.0)
    step(tracker, [], 0.0)
    step(tracker, [box(200, 200)], 0.04)
    assert len(step(tracker, [box(200, 200)], 0.08, 0.15)) == 0
    assert step(tracker, [box(200, 200)], 0.12).ids.tolist() == [1]


def test_a_confirmed_track_goes_before_one_that_has_just_begun() -> None:
    tracker = Tracker()
    for k in range(5):
        step(tracker, [box(200, 200)], k / 25)
    step(tracker, [box(200, 200), box(240, 200)], 0.2)
    assert step(tracker, [box(225, 200)], 0.24).ids.tolist() == [1]


def test_an_object_that_is_detected_twice_is_one_track() -> None:
    tracker = Tracker(max_start_overlap=0.6)
    double = [box(100, 100), box(104, 101)]
    for n in range(6):
        tracks = tracker.update(double, [0.7, 0.9], [0, 0], time_s=0.1 * n)
        assert len(tracks) == 1, f"frame {n}"
    assert tracks.ids.tolist() == [1]
    assert tracks.detection_index.tolist() == [1]


def test_two_objects_that_overlap_less_are_two_tracks() -> None:
    tracker = Tracker(max_start_overlap=0.6)
    for n in range(3):
        tracks = step(tracker, [box(100, 100), box(118, 100)], 0.1 * n)
    assert len(tracks) == 2


def test_class_that_wavers_keeps_id_and_majority() -> None:
    tracker = Tracker()
    for k in range(30):
        tracks = step(tracker, [box(200, 200)], k / 25, kind=7 if k % 4 == 3 else 2)
        assert tracks.ids.tolist() == [1] and tracks.classes.tolist() == [2]


def test_class_changes_once_most_of_the_scores_speak_for_another() -> None:
    tracker = Tracker()
    shown = [
        step(tracker, [box(200, 200)], k / 25, kind=2 if k < 3 else 7).classes.tolist() for k in range(9)
    ]
    assert shown == [[2]] * 6 + [[7]] * 3


def test_tracks_that_begin_together_are_numbered_from_left_to_right() -> None:
    """By score, two machines whose scores differ in the last digit would number them otherwise."""
    left, right = box(100, 200), box(400, 200)
    for boxes, scores in (([left, right], (0.81, 0.8)), ([right, left], (0.81, 0.8))):
        tracker = Tracker()
        for k in range(3):
            tracks = tracker.update(boxes, scores, [0, 0], time_s=k / 25)
        order = np.argsort(tracks.ids)
        assert tracks.boxes_xyxy[order, 0].tolist() == pytest.approx([70, 370], abs=1)


def test_classes_are_told_apart() -> None:
    """A car and a person at the same place swap the order in which they are given, not their ids."""
    tracker = Tracker()
    both = [box(200, 200), box(204, 200)]
    for k in range(10):
        order = [0, 1] if k % 2 else [1, 0]
        tracks = tracker.update([both[i] for i in order], [0.9, 0.9], order, time_s=k / 25)
        assert dict(zip(tracks.ids.tolist(), tracks.classes.tolist(), strict=True)) in ({1: 0, 2: 1},)
    strict = Tracker(class_penalty=1.0)
    for k in range(10):
        step(strict, [box(200, 200)], k / 25, kind=0)
    step(strict, [box(200, 200)], 0.4, kind=1)
    assert step(strict, [box(200, 200)], 0.44, kind=1).ids.tolist() == [2]


@pytest.mark.parametrize(("min_likeness", "hidden_frames", "id_"), [(0.0, 15, 1), (0.7, 15, 2), (0.7, 1, 1)])
def test_a_track_lost_for_a_while_is_not_given_to_what_looks_otherwise(
    min_likeness: float, hidden_frames: int, id_: int
) -> None:
    """A red car drives behind a truck, and where it should come out a white one does."""
    red, white = [[1.0, 0.0]], [[0.0, 1.0]]
    tracker = Tracker(min_likeness=min_likeness)
    for k in range(10):
        tracker.update([box(200, 200)], [0.9], [0], time_s=k / 25, embeddings=red)
    back = 10 + hidden_frames
    for k in range(back, back + 2):
        tracks = tracker.update([box(200, 200)], [0.9], [0], time_s=k / 25, embeddings=white)
    assert tracks.ids.tolist() == [id_]


def test_a_track_lost_for_a_while_is_known_again() -> None:
    tracker, look = Tracker(min_likeness=0.7), np.array([[0.6, 0.8]])
    for k in [*range(10), *range(25, 28)]:
        tracks = tracker.update([box(200, 200)], [0.9], [0], time_s=k / 25, embeddings=look)
    assert tracks.ids.tolist() == [1]


@pytest.mark.parametrize(
    ("found", "kind", "look", "hidden_frames", "ids"),
    [
        ([box(342, 200)], 0, [1.0, 0.0], 20, [1]),
        ([box(342, 200), box(262, 200)], 0, [1.0, 0.0], 20, [1, 2]),
        ([box(342, 200, w=240, h=160)], 0, [1.0, 0.0], 20, [2]),
        ([box(342, 200)], 0, [0.0, 1.0], 20, [2]),
        ([box(342, 200)], 0, [1.0, 0.0], 1, [2]),
    ],
    ids=["it", "and another, nearer", "of another size", "looks otherwise", "too soon"],
)
def test_what_turns_up_beside_a_lost_track(
    found: list[list[float]], kind: int, look: list[float], hidden_frames: int, ids: list[int]
) -> None:
    """Too far for the overlap asked for, until the doubt about where a track is has grown."""
    tracker = Tracker(min_likeness=0.7)
    for k in range(20):
        tracker.update([box(300, 200)], [0.9], [0], time_s=k / 20, embeddings=[[1.0, 0.0]])
    for k in range(2):
        time_s = (19 + hidden_frames + k) / 20
        tracks = tracker.update(
            found, [0.9] * len(found), [kind] * len(found), time_s=time_s, embeddings=[look] * len(found)
        )
    assert tracks.ids.tolist() == ids
    if len(found) > 1:
        assert tracks.detection_index.tolist() == [1, 0]


def test_what_is_found_again_starts_no_track_as_well() -> None:
    tracker = Tracker()
    for k in range(20):
        step(tracker, [box(300, 200)], k / 20)
    assert step(tracker, [box(342, 200)], 2.0).ids.tolist() == [1]
    twice = step(tracker, [box(342, 200), box(343, 200)], 2.05)
    assert twice.ids.tolist() == [1]


def test_a_few_frames_a_second_are_enough_to_follow_what_moves_most_of_its_width_between_them() -> None:
    """The second frame shows it where its box and the first hardly overlap."""
    tracker = Tracker()
    for k in range(6):
        tracks = step(tracker, [box(100 + 42 * k, 200), box(900, 500)], k / 3)
    assert tracks.ids.tolist() == [1, 2]


def test_rows_name_the_detection_they_come_from() -> None:
    tracker = Tracker()
    step(tracker, [box(100, 100), box(400, 100)], 0.0)
    tracks = tracker.update(
        [box(700, 300), box(401, 100), box(100, 101)], [0.05, 0.8, 0.9], [0, 0, 0], time_s=0.04
    )
    assert tracks.ids.tolist() == [1, 2]
    assert tracks.detection_index.tolist() == [2, 1]
    assert tracks.scores == pytest.approx([0.9, 0.8])
    kinds = {
        name: getattr(tracks, name).dtype.name for name in ("ids", "boxes_xyxy", "classes", "detection_index")
    }
    assert kinds == {"ids": "int64", "boxes_xyxy": "float32", "classes": "int32", "detection_index": "int32"}


def scene(seed: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    draw = np.random.default_rng(seed)
    centre, speed = draw.uniform(0, 1000, (30, 2)), draw.normal(0, 50, (30, 2))
    frames = []
    for k in range(40):
        at = centre + speed * k / 25 + draw.normal(0, 1, (30, 2))
        seen = draw.random(30) > 0.2
        frames.append(
            (np.concatenate([at - 25, at + 25], axis=1)[seen], draw.uniform(0.2, 1, 30)[seen], k / 25)
        )
    return frames


def play(tracker: Tracker, frames: list[tuple[np.ndarray, np.ndarray, float]]) -> list[Tracks]:
    return [tracker.update(b, s, np.zeros(len(b), int), time_s=t) for b, s, t in frames]


def same(a: Tracks, b: Tracks) -> bool:
    return a.ids.tolist() == b.ids.tolist() and bool(np.array_equal(a.boxes_xyxy, b.boxes_xyxy))


def test_the_same_frames_give_the_same_tracks_and_streams_share_nothing() -> None:
    alone, beside = play(Tracker(), scene(1)), []
    first, second = Tracker(), Tracker()
    for mine, other in zip(scene(1), scene(2), strict=True):
        beside += play(first, [mine])
        play(second, [other])
    assert all(same(a, b) for a, b in zip(alone, beside, strict=True))
    assert sum(len(tracks) for tracks in alone) > 500


def test_no_id_is_shown_twice_in_a_frame_and_none_returns_after_its_end() -> None:
    tracker = Tracker(max_lost_s=0.3)
    last_seen: dict[int, float] = {}
    for tracks, (_, _, t) in zip(play(tracker, scene(5)), scene(5), strict=True):
        assert len(set(tracks.ids.tolist())) == len(tracks) == len(set(tracks.detection_index.tolist()))
        for id_ in tracks.ids.tolist():
            assert t - last_seen.get(id_, t) <= 0.3 + 1e-9
            last_seen[id_] = t


def test_tracks_given_out_are_not_changed_later() -> None:
    tracker = Tracker()
    step(tracker, [box(100, 100)], 0.0)
    held = step(tracker, [box(101, 100)], 0.04)
    copy = held.boxes_xyxy.copy()
    step(tracker, [box(140, 100)], 0.08)
    assert np.array_equal(held.boxes_xyxy, copy)


def test_empty_frames() -> None:
    tracker = Tracker()
    tracks = tracker.update(np.zeros((0, 4)), [], [], time_s=0.0)
    assert len(tracks) == 0 and tracks.boxes_xyxy.shape == (0, 4)
    assert len(tracker.update([], [], [], time_s=0.0)) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boxes_xyxy": [[np.nan, 0, 1, 1]]}, "boxes_xyxy: has a value that is not finite"),
        ({"scores": [np.inf]}, "scores: has a value that is not finite"),
        ({"boxes_xyxy": [[5, 0, 1, 1]]}, "second corner"),
        ({"scores": [0.5, 0.5]}, r"scores (2,)"),
        ({"boxes_xyxy": [[1, 2, 3]]}, r"boxes (1, 3)"),
        ({"embeddings": [[1.0], [1.0]]}, r"embeddings (2, 1)"),
        ({"embeddings": [[1.0, 0.0]]}, "embeddings of length 2"),
        ({"time_s": 0.5}, "time_s 0.5: lies before 1.0"),
        ({"time_s": np.nan}, "time_s nan"),
    ],
)
def test_input_that_cannot_be_is_refused_and_changes_nothing(change: dict[str, Any], words: str) -> None:
    tracker = Tracker()
    good: dict[str, Any] = {"boxes_xyxy": [box(50, 50)], "scores": [0.9], "classes": [0], "time_s": 1.0}
    tracker.update(**good)
    with pytest.raises(ValueError, match=re.escape(words)):
        tracker.update(**{**good, "time_s": 1.1, **change})
    assert tracker.update(**{**good, "time_s": 1.1}).ids.tolist() == [1]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("high_threshold", 1.5),
        ("min_hits", 0),
        ("max_lost_s", -1.0),
        ("low_threshold", 0.7),
        ("min_iou", np.nan),
    ],
)
def test_options_that_cannot_be(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{option} {value}"):
        Tracker(**{option: value})
