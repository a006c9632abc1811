"""Versioned documents and the errors they raise."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar

import pytest

from catseye.contract import Contract
from catseye.errors import InputError


class Note(Contract):
    VERSION: ClassVar[str] = "2.3"
    REMEDY: ClassVar[str] = "write it again"

    title: str
    count: int = 0


def test_what_is_saved_loads_the_same_and_carries_its_version(tmp_path: Path) -> None:
    Note(title="a", count=3).save(tmp_path / "note.json")
    loaded = Note.load(tmp_path / "note.json")
    assert (loaded.title, loaded.count, loaded.schema_version) == ("a", 3, "2.3")


@pytest.mark.parametrize("version", ["2.3", "2.99", "1.0"])
def test_a_newer_minor_version_and_older_ones_load(version: str) -> None:
    text = f'{{"schema_version": "{version}", "title": "a", "a_later_field": 1}}'
    assert Note.parse(text, subject="note.json").title == "a"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"schema_version": "3.0", "title": "a"}', "newer than 2.3.*; upgrade catseye"),
        ('{"schema_version": "10.0", "title": "a"}', "newer than 2.3"),
        ('{"title": "a"}', "'schema_version' is None"),
        ('{"schema_version": 2, "title": "a"}', "'schema_version' is 2"),
        ('{"schema_version": "2", "title": "a"}', "not MAJOR.MINOR"),
        ('{"schema_version": "2.3"}', "field 'title': .*; write it again"),
        ('{"schema_version": "2.3", "title": "a", "count": "many"}', "field 'count'"),
        ("[1, 2]", "is not a JSON object"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"schema_version": "²³.0", "title": "a"}', "not MAJOR.MINOR"),
        ('{"schema_version": "' + "1" * 100_000 + '.0", "title": "a"}', "not MAJOR.MINOR"),
        ('{"schema_version": "2.3", "title": "a", "title": "b"}', "says 'title' twice"),
        ('{"schema_version": "2.3", "title": "a", "later": {"x": 1, "x": 1}}', "says 'x' twice"),
    ],
)
def test_what_does_not_fit_is_named_with_the_file_and_the_remedy(text: str, fault: str) -> None:
    with pytest.raises(InputError, match=f"^some/note.json: .*{fault}"):
        Note.parse(text, subject="some/note.json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_other_encodings_than_plain_utf8_are_refused(encoding: str) -> None:
    text = '{"schema_version": "2.3", "title": "a"}'
    assert Note.parse(text.encode(), subject="x").title == "a"
    with pytest.raises(InputError, match="is not JSON"):
        Note.parse(text.encode(encoding), subject="x")


def test_a_missing_and_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; write it again"):
        Note.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        Note.load(tmp_path / "binary.json")
    with pytest.raises(InputError, match="cannot be read"):
        Note.load(tmp_path)


def test_an_input_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InputError("a.mp4", "is cut off", "copy it again")))
    assert (error.subject, error.fault, error.remedy) == ("a.mp4", "is cut off", "copy it again")
    assert str(error) == "a.mp4: is cut off; copy it again"
