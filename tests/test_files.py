"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from catseye.files import replacing, sha256_of, write_bytes, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_takes_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "result.mp4"
    with replacing(target) as aside:
        assert aside.parent == target.parent and aside.suffix == ".mp4" and aside.name.startswith(".")
        aside.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert names(target.parent) == ["result.mp4"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), replacing(target) as aside:
        aside.write_text("new")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_file_never_written_is_an_error_and_no_empty_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.json"):
        pass
    assert names(tmp_path) == []


def test_json_is_sorted_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [2.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [2.5], "b": 1}
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text())["b"] == 1


def test_the_hash_is_that_of_the_whole_content(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 17)
    write_bytes(tmp_path / "a.bin", content)
    assert sha256_of(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()
