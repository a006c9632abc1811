"""Names of classes, and which are kept under what names."""

from __future__ import annotations

from pathlib import Path

import pytest

from catseye.errors import InputError, UsageError
from catseye.export.wrapping.class_map import class_names, map_classes, parse_renames

COCO = ("person", "car", "bus", "truck")


def test_all_are_kept_where_none_is_named() -> None:
    found = map_classes(COCO, keep=(), rename={})
    assert (found.names, found.is_identity) == (COCO, True)


def test_merged_class_stands_where_its_first_part_stood() -> None:
    found = map_classes(COCO, keep=(), rename={"truck": "car", "bus": "coach"})
    assert found.names == ("person", "car", "coach")
    assert found.groups == ((0,), (1, 3), (2,))
    assert not found.is_identity


@pytest.mark.parametrize(
    ("keep", "rename", "said"),
    [
        (("tram",), {}, "--keep tram: the model has person, car"),
        ((), {"tram": "car"}, "--rename tram"),
        (("car",), {"bus": "car"}, "--rename bus=car: --keep leaves bus out"),
    ],
)
def test_names_that_are_not_there(keep: tuple[str, ...], rename: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        map_classes(COCO, keep=keep, rename=rename)


def test_renames_are_parsed() -> None:
    assert parse_renames("car=vehicle, bus = vehicle") == {"car": "vehicle", "bus": "vehicle"}
    assert parse_renames("") == {}
    for text in ("car", "car=", "=x", "car=a,car=b"):
        with pytest.raises(UsageError, match="write OLD=NEW"):
            parse_renames(text)


def test_names_come_from_the_file_before_the_metadata(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("a\nb\n\n")
    metadata = {"names": "{0: 'x', 1: 'y'}"}
    assert class_names(file, metadata, count=2, subject="m") == ("a", "b")
    assert class_names(None, metadata, count=2, subject="m") == ("x", "y")


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [("a\nb", 3, "names 2 classes, the model has 3"), ("a\na", 2, "'a' twice"), ("\n", 1, "names no class")],
)
def test_a_file_that_does_not_fit(text: str, count: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        class_names(tmp_path / "names.txt", {}, count=count, subject="m")


@pytest.mark.parametrize("names", ["__import__('os')", "{1: 'x'}", "", "3"])
def test_metadata_that_is_no_list_of_names(names: str) -> None:
    with pytest.raises(InputError, match="in a way that is not known"):
        class_names(None, {"names": names}, count=None, subject="m")


def test_no_names_at_all() -> None:
    with pytest.raises(UsageError, match="give --classes FILE"):
        class_names(None, {}, count=2, subject="m")
