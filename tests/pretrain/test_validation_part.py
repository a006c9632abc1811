from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.training_state import Position
from catseye.pretrain.validation_part import checked, groups_of, keep_back, out_of_patience


def labels(*names: str, empty: tuple[str, ...] = ()) -> Labels:
    images = []
    for name in names:
        boxes = np.array([[1, 1, 9, 9]] * (name not in empty), dtype=np.float32).reshape(-1, 4)
        count = len(boxes)
        images.append(LabelledImage(name, 90, 60, boxes, np.zeros(count, np.int32), np.zeros(count, bool)))
    return Labels(Path("labels.json"), ("car",), tuple(images))


def names(part: Labels) -> list[str]:
    return [image.file_name for image in part.images]


def test_no_drive_is_torn_and_about_the_share_is_kept_back() -> None:
    everything = labels(*(f"drive{d:02}/{n}.jpg" for d in range(60) for n in range(3)))
    learn, check = keep_back(everything, share=0.2, group_from="")
    assert sorted(names(learn) + names(check)) == sorted(names(everything))
    drives = [{name.partition("/")[0] for name in names(part)} for part in (learn, check)]
    assert not drives[0] & drives[1] and 5 <= len(drives[1]) <= 20


def test_the_part_kept_back_depends_on_names_alone() -> None:
    some = [f"{n}.jpg" for n in range(40)]
    _, check = keep_back(labels(*some), share=0.2, group_from="")
    _, more = keep_back(labels(*reversed(some), "another.jpg"), share=0.2, group_from="")
    assert set(names(check)) == set(names(more)) - {"another.jpg"}


def test_a_pattern_tells_drives_apart() -> None:
    files = ["van7-a-001.jpg", "van7-a-002.jpg", "van8-b-001.jpg"]
    assert groups_of(files, labels=labels(), group_from=r"^(\w+)-") == ["van7", "van7", "van8"]
    assert groups_of(files, labels=labels(), group_from=r"-[ab]-") == ["-a-", "-a-", "-b-"]
    assert groups_of(["x/a.jpg", "x/b.jpg"], labels=labels(), group_from="") == ["x/a.jpg", "x/b.jpg"]
    with pytest.raises(InputError, match=r"1 of 3 file names have no part 'van7', first 'van8-b-001.jpg'"):
        groups_of(files, labels=labels(), group_from="van7")


def test_both_parts_have_objects_or_it_is_said() -> None:
    learn, check = keep_back(labels("a.jpg", "b.jpg"), share=0.01, group_from="")
    assert len(learn.images) == len(check.images) == 1
    with pytest.raises(InputError, match="has 1 groups of stills with objects"):
        keep_back(labels("a.jpg", "b.jpg", empty=("b.jpg",)), share=0.5, group_from="")


def test_patience_counts_checks_since_the_best() -> None:
    position = Position()
    ended = []
    for step, figure in ((10, 0.2), (20, 0.4), (30, 0.4), (40, 0.3), (50, 0.5)):
        position.step = step
        assert checked(position, figure) == (figure > {10: -1, 20: 0.2, 30: 0.4, 40: 0.4, 50: 0.4}[step])
        ended.append(out_of_patience(position, patience=2, check_every=10))
    assert ended == [False, False, False, True, False] and (position.best, position.best_step) == (0.5, 50)
    assert not out_of_patience(Position(step=1000), patience=0, check_every=10)
