from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.errors import UsageError
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.pseudo_tracks import LinkOptions, PseudoTracks, certain_pairs, link, sure_rows


def found(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores if scores is not None else [0.9] * len(boxes), np.float32),
        np.zeros(len(boxes), np.int32),
    )


def box(x: float, y: float = 50.0, side: float = 20.0) -> tuple[float, float, float, float]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def linked(frames: list[Detections], every_s: float = 0.1) -> PseudoTracks:
    count = len(frames)
    return link(frames, list(range(0, 2 * count, 2)), [every_s * k for k in range(count)], LinkOptions())


def tracks_by_frame(tracks: PseudoTracks) -> list[list[int]]:
    return [tracks.tracks[tracks.frames == frame].tolist() for frame in np.unique(tracks.frames)]


def test_a_vehicle_that_gathers_speed_is_one_track() -> None:
    """From 4 to 22 pixels a frame: a box 20 wide would be lost without its velocity."""
    places = np.cumsum([40, *range(4, 24, 2)])
    tracks = linked([found(box(float(x))) for x in places])
    assert tracks.tracks.tolist() == [0] * len(places)
    assert tracks.frames.tolist() == list(range(0, 2 * len(places), 2))
    np.testing.assert_allclose(tracks.boxes[3], box(float(places[3])))


def test_a_track_ends_where_a_frame_misses_it_or_lasts_too_long() -> None:
    seen, gone = found(box(40), box(200)), found(box(200))
    assert tracks_by_frame(linked([seen, seen, gone, seen])) == [[0, 1], [0, 1], [1], [2, 1]]
    assert tracks_by_frame(linked([seen, seen], every_s=0.5)) == [[0, 1], [2, 3]]


def test_where_two_could_be_meant_neither_is_linked() -> None:
    apart, close = found(box(40), box(200)), found(box(36, 46), box(44, 54), box(200))
    assert tracks_by_frame(linked([apart, close])) == [[0, 1], [2, 3, 1]]
    # And the reverse: one box left where two were.
    assert tracks_by_frame(linked([close, apart])) == [[0, 1, 2], [3, 2]]


def test_only_what_one_frame_has_together_is_certainly_apart() -> None:
    tracks = linked([found(box(40), box(200)), found(box(200)), found(box(40), box(200))])
    assert tracks_by_frame(tracks) == [[0, 1], [1], [2, 1]]
    apart = tracks.apart()
    assert apart.tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_rows_that_are_sure() -> None:
    doubles, weak, tiny = [box(40), box(43)], box(160), box(200, side=5)
    better_within, worse_within = [box(100), box(104, side=8)], [box(240, side=30), box(245, side=8)]
    given = found(
        *doubles,
        *better_within,
        *worse_within,
        weak,
        tiny,
        scores=[0.6, 0.8, 0.7, 0.9, 0.9, 0.7, 0.3, 0.9],
    )
    # Of two in one place the better stays, whichever is the larger.
    assert sure_rows(given, LinkOptions()).tolist() == [1, 3, 4]
    assert sure_rows(found(), LinkOptions()).tolist() == []


def plain_pairs(
    foreseen: NDArray[np.float64], boxes: NDArray[np.float64], options: LinkOptions
) -> list[tuple[int, int]]:
    def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        w, h = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
        return w * h / union

    pairs = []
    for i, one in enumerate(foreseen):
        for j, other in enumerate(boxes):
            rivals = [iou(one, b) for k, b in enumerate(boxes) if k != j]
            rivals += [iou(f, other) for k, f in enumerate(foreseen) if k != i]
            if iou(one, other) >= options.min_iou and iou(one, other) - max([0.0, *rivals]) >= options.margin:
                pairs.append((i, j))
    return pairs


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_of_a_plain_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (12, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 25, (12, 2))], axis=1)
    foreseen = boxes[rng.permutation(12)[:9]] + rng.normal(0, 1.5, (9, 4))
    options = LinkOptions(min_iou=0.4, margin=0.1)
    rows, columns = certain_pairs(foreseen, boxes, options)
    expected = plain_pairs(foreseen, boxes, options)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected and len(expected) > 2


def test_options_that_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"threshold 1\.5: lies between 0 and 1"):
        LinkOptions(threshold=1.5)
    with pytest.raises(UsageError, match="longest_s 0"):
        LinkOptions(longest_s=0)
