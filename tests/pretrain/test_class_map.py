from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catseye.errors import UsageError
from catseye.pretrain.class_map import check_class_names, with_classes
from catseye.pretrain.labels import LabelledImage, Labels


def labels(classes: tuple[str, ...], *indices: int, scores: list[float] | None = None) -> Labels:
    boxes = np.array([[n, 0, n + 5, 9] for n in range(len(indices))], dtype=np.float32)
    crowd = np.arange(len(indices)) == 1
    sure = None if scores is None else np.array(scores, dtype=np.float32)
    image = LabelledImage("a.jpg", 90, 60, boxes, np.array(indices, dtype=np.int32), crowd, sure)
    return Labels(Path("labels.json"), classes, (image,))


def test_classes_are_renamed_and_joined_in_the_order_of_the_labels() -> None:
    mapped = with_classes(labels(("car", "person", "bus"), 2, 0, 1), {"car": "vehicle", "bus": "vehicle"})
    assert mapped.classes == ("vehicle", "person")
    assert mapped.images[0].classes.tolist() == [0, 0, 1] and mapped.images[0].classes.dtype == np.int32


def test_classes_asked_for_decide_the_order_and_others_are_left_out() -> None:
    source = labels(("car", "person", "bus"), 2, 0, 1, 0, scores=[0.1, 0.2, 0.3, 0.4])
    mapped = with_classes(source, {}, ("person", "car"))
    (image,) = mapped.images
    assert mapped.classes == ("person", "car") and image.classes.tolist() == [1, 0, 1]
    assert image.boxes[:, 0].tolist() == [1, 2, 3] and image.crowd.tolist() == [True, False, False]
    assert image.scores is not None and image.scores.tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert with_classes(source, {}) is source


def test_names_that_no_labels_have_are_said() -> None:
    known = [labels(("car", "bus")), labels(("truck",))]
    check_class_names(known, {"truck": "vehicle"}, ("vehicle", "bus"))
    with pytest.raises(
        UsageError, match=r"class_map van=vehicle: there is no class 'van', but car, bus, truck"
    ):
        check_class_names(known, {"van": "vehicle"}, ())
    with pytest.raises(UsageError, match=r"classes car: there is no class 'car', but vehicle, bus, truck"):
        check_class_names(known, {"car": "vehicle"}, ("car",))
