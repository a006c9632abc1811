"""Amounts of data."""

from __future__ import annotations

import pytest

from catseye.errors import UsageError
from catseye.units import parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("7 B", 7),
        ("200GB", 200_000_000_000),
        ("1.5 mb", 1_500_000),
        ("2KiB", 2048),
        ("1TiB", 1 << 40),
    ],
)
def test_amounts_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "5XB", "5ib", "many"])
def test_what_is_none_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="no amount of data"):
        parse_bytes(text)
