from __future__ import annotations

import pytest

from catseye.errors import UsageError
from catseye.verbs.finetune_options import class_names, class_pairs


def test_classes_and_pairs_are_read() -> None:
    assert class_pairs("car=vehicle, bus = vehicle") == {"car": "vehicle", "bus": "vehicle"}
    assert class_names("car, bus") == ("car", "bus") and class_names(None) == () and class_pairs(None) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("car", r"--class-map 'car': is not of the form NAME=NAME"),
        ("car=vehicle,=bus", r"--class-map '=bus'"),
        ("car=vehicle,car=bus", r"--class-map 'car=bus': 'car' is mapped to 'vehicle' already"),
    ],
)
def test_what_is_no_pair_is_named(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        class_pairs(text)
