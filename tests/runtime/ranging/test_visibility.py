from __future__ import annotations

from standing_boxes import BOX, boxes, standing

from catseye.runtime.ranging.visibility import cut_off, hidden_bottoms


def test_edges_on_the_picture_border_are_cut() -> None:
    # The picture lies in rows 6 to 186 of the network's.
    cut = cut_off(
        boxes([0, 50, 40, 90], [290, 50, 320, 90], [100, 6, 140, 60], [100, 90, 200, 186], [50, 50, 90, 90]),
        BOX,
    )
    assert cut.sides.tolist() == [True, True, False, False, False]
    assert cut.top.tolist() == [False, False, True, False, False]
    assert cut.bottom.tolist() == [False, False, False, True, False]


def test_a_nearer_vehicle_hides_the_bottom_of_one_that_ends_at_its_top() -> None:
    behind, before = standing(30.0), standing(12.0, height=1.3)
    for off in (-1.0, 0.0, 1.0):
        behind[3] = before[1] + off
        assert hidden_bottoms(boxes(behind, before)).tolist() == [True, False]


def test_a_box_that_goes_on_below_the_top_of_a_nearer_one_ends_where_its_vehicle_stands() -> None:
    """Detectors and people draw most vehicles whole that others hide in part."""
    assert not hidden_bottoms(boxes(standing(30.0), standing(12.0))).any()


def test_a_neighbour_hides_nothing() -> None:
    assert not hidden_bottoms(boxes(standing(30.0), standing(12.0, x=4.0))).any()
    assert not hidden_bottoms(boxes(standing(30.0, x=0.9), standing(28.0, x=-0.9))).any()


def test_two_boxes_of_one_vehicle_do_not_hide_each_other() -> None:
    first = standing(20.0)
    second = [first[0] - 1, first[1] - 1, first[2] + 1, first[3] + 1]
    assert not hidden_bottoms(boxes(first, second)).any()


def test_what_is_low_and_far_below_hides_nothing() -> None:
    assert not hidden_bottoms(boxes(standing(40.0), standing(6.0, height=0.3))).any()
