"""What the command line shows is what it was given."""

from __future__ import annotations

import errno
import os

import pytest

from catseye.console import describe, print_table


def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("day[1]", ("what", "do"), [("[train]", "pip install 'catseye[train]'"), ("[/]", "-")])
    shown = capsys.readouterr().out
    assert "day[1]" in shown and "[train]" in shown and "catseye[train]" in shown and "[/]" in shown


@pytest.mark.parametrize("fault", [errno.EEXIST, errno.ENAMETOOLONG, errno.EROFS])
def test_a_place_that_cannot_be_is_told_in_a_line(fault: int) -> None:
    told = describe(OSError(fault, os.strerror(fault), "run"))
    assert told == (f"run: {os.strerror(fault)}; name a place that can be read and written", 1)


def test_what_is_too_long_for_its_column_goes_on_below(capsys: pytest.CaptureFixture[str]) -> None:
    paths = ("footage/van-7/front/20261123T100643.971Z.mp4", "footage/van-7/rear/20161016T013207.800Z.mp4")
    print_table("footage", ("file", "copy"), [paths])
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert len(rows) > 1
    assert tuple("".join(part.strip() for part in column) for column in zip(*rows, strict=True)) == paths
