"""Amounts of data as people write them."""

from __future__ import annotations

import re

from catseye.errors import UsageError

_FACTORS = {
    "": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_bytes(text: str) -> int:
    """Bytes of an amount such as ``200GB``, ``512 MiB`` or ``1000``.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?", text.strip().lower())
    unit = (match.group(2) or "").removeprefix("b") if match else None
    if match is None or unit not in _FACTORS:
        raise UsageError(f"{text!r} is no amount of data: write one like 200GB or 512MiB")
    return int(float(match.group(1)) * _FACTORS[unit])
