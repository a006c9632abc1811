"""What the command line shows is what it was given."""

from __future__ import annotations

import pytest

from catseye.console import print_table


def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("day[1]", ("what", "do"), [("[train]", "pip install 'catseye[train]'"), ("[/]", "-")])
    shown = capsys.readouterr().out
    assert "day[1]" in shown and "[train]" in shown and "catseye[train]" in shown and "[/]" in shown
