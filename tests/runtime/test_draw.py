from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shown_frames import grey, result

from catseye.capture.geometry import Planes, planes_to_rgb
from catseye.runtime.draw import Annotator, id_colour, label


def test_box_is_where_the_track_is_in_its_colour() -> None:
    planes = grey()
    drawn = Annotator().draw(planes, result([[60, 80, 160, 140]], [1]))
    colour = id_colour(1, planes)
    for y, x in ((80, 100), (139, 100), (110, 60), (110, 159)):
        assert drawn.y[y, x] == colour[0]
        assert (drawn.u[y // 2, x // 2], drawn.v[y // 2, x // 2]) == colour[1:]
    assert drawn.y[110, 110] == 90 and drawn.y[110, 200] == 90
    assert (planes.y == 90).all(), "the frame given is the decoder's, not ours to change"


def test_colours_last_and_differ() -> None:
    planes = grey()
    colours = [id_colour(id_, planes) for id_ in range(1, 9)]
    assert colours == [id_colour(id_, planes) for id_ in range(1, 9)]
    apart = [max(abs(a[1] - b[1]), abs(a[2] - b[2])) for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) > 15


def test_label_says_class_id_and_distance_and_is_legible() -> None:
    assert label(result([[0, 0, 1, 1]], [12]), 0) == "car 12"
    assert label(result([[0, 0, 1, 1]], [12], metres=33.4), 0) == "car 12  33 m"


@pytest.mark.parametrize(("contact_s", "words"), [(2.13, "33 m  in 2.1 s"), (3.2, "33 m"), (np.nan, "33 m")])
def test_label_says_when_contact_is_near(contact_s: float, words: str) -> None:
    whole = result([[0, 0, 1, 1]], [12], metres=33.4)
    soon = replace(whole.distances, contact_s=np.array([contact_s], np.float32))
    assert label(replace(whole, distances=soon), 0) == f"car 12  {words}"
    drawn = Annotator().draw(grey(), result([[60, 80, 160, 140]], [1]))
    above = drawn.y[60:79, 60:120]
    assert above.min() < 40 and above.max() > 200


def test_labels_do_not_cover_each_other() -> None:
    """Two boxes at one place: the label of one goes above, that of the other below."""
    one = Annotator().draw(grey(), result([[60, 80, 160, 140]], [1]))
    two = Annotator().draw(grey(), result([[60, 80, 160, 140], [60, 80, 160, 139]], [1, 2]))
    assert np.array_equal(one.y[50:79, 60:160], two.y[50:79, 60:160])
    below = two.y[141:165, 60:130]
    assert below.min() < 40 and below.max() > 200


def test_trail_follows_and_fades_with_time() -> None:
    annotator = Annotator()
    for k in range(10):
        drawn = annotator.draw(grey(), result([[20 + 10 * k, 60, 60 + 10 * k, 100]], [1], pts=k))
    assert drawn.y[100, 50] == id_colour(1, grey())[0]
    later = annotator.draw(grey(), result([[200, 60, 240, 100]], [1], pts=200))
    assert later.y[100, 50] == 90
    assert annotator.draw(grey(), result([], [], pts=400)).y.max() == 90
    assert not annotator._trails


def test_boxes_at_and_over_the_edge() -> None:
    drawn = Annotator().draw(
        grey(), result([[0, 0, 320, 192], [310, 185, 320, 192], [5, 0, 5, 0]], [1, 2, 3])
    )
    assert drawn.y.shape == (192, 320)
    assert drawn.y[100, 0] == drawn.y[100, 319] == id_colour(1, grey())[0]


def test_full_range_frames_keep_their_look() -> None:
    full = grey(level=200, full_range=True)
    drawn = Annotator().draw(full, result([], []))
    assert not drawn.full_range
    assert np.abs(planes_to_rgb(drawn).astype(int) - planes_to_rgb(full)).max() <= 1


def test_odd_sizes_are_cut_to_even() -> None:
    drawn = Annotator().draw(
        grey(321, 193), replace(result([[60, 80, 160, 140]], [1]), width=321, height=193)
    )
    assert (drawn.width, drawn.height) == (320, 192)
    assert drawn.u.shape == drawn.v.shape == (96, 160)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colour_is_the_same_in_either_matrix(matrix: Any) -> None:
    planes = replace(grey(), matrix=matrix)
    y, u, v = id_colour(5, planes)
    area = Planes(
        np.full((2, 2), y, np.uint8),
        np.full((1, 1), u, np.uint8),
        np.full((1, 1), v, np.uint8),
        matrix=planes.matrix,
    )
    assert planes_to_rgb(area)[0, 0].max() >= 245
    assert planes_to_rgb(area)[0, 0].min() <= 60
