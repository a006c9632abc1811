"""A chain of stages continues from what exists, and makes anew what changed and everything after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catseye.errors import InputError
from catseye.ledger import Ledger


def chain(folder: Path, *, first: int, second: int) -> list[str]:
    """Run two stages; return the names of those that worked."""
    worked = []
    ledger = Ledger(folder / "summary.json")
    for name, inputs in (("first", first), ("second", second)):
        output = folder / name

        def work(name: str = name, output: Path = output) -> tuple[str, dict[str, float]]:
            worked.append(name)
            output.write_text(name)
            return "done", {"figure": 1.0}

        ledger.run(name, inputs, [output], work)
    return worked


def test_second_call_keeps_what_is_there(tmp_path: Path) -> None:
    assert chain(tmp_path, first=1, second=1) == ["first", "second"]
    assert chain(tmp_path, first=1, second=1) == []


def test_lost_output_is_made_again(tmp_path: Path) -> None:
    chain(tmp_path, first=1, second=1)
    (tmp_path / "second").unlink()
    assert chain(tmp_path, first=1, second=1) == ["second"]


def test_change_makes_everything_after_it_anew(tmp_path: Path) -> None:
    chain(tmp_path, first=1, second=1)
    assert chain(tmp_path, first=1, second=2) == ["second"]
    assert chain(tmp_path, first=2, second=2) == ["first", "second"]


def test_failure_keeps_the_stages_before_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "summary.json")
    ledger.run("first", 1, [], lambda: ("done", {}))

    def fail() -> tuple[str, dict[str, float]]:
        raise InputError("x", "fault", "remedy")

    with pytest.raises(InputError):
        ledger.run("second", 1, [], fail)
    stages = json.loads((tmp_path / "summary.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["first"]


def test_damaged_summary_names_file_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(InputError, match=r"summary\.json: is not JSON; remove it"):
        Ledger(tmp_path / "summary.json")
