"""How what is wrong with a label file is said: which file, what, how many, and the first."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from catseye.errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, *, remedy: str, most_bytes: int | None = None) -> str:
    """Read a file as UTF-8, or as UTF-16 where its byte order mark says so.

    Args:
        most_bytes: refuse a larger file unread.

    Raises:
        InputError: it is absent, too large, or no text.
    """
    try:
        size = path.stat().st_size
        if most_bytes is not None and size > most_bytes:
            fault = f"has {size:,} bytes, more than the {most_bytes:,} that such a file can need"
            raise InputError(path, fault, remedy)
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read as text ({error})", remedy) from None


def refuse(
    wrong: ArrayLike, path: Path, what: str, fault: str, first: Callable[[int], str], remedy: str
) -> None:
    """Refuse if any of (N,) is wrong.

    Args:
        what: of what there are N, in the plural.
        first: names the one with that index.
    """
    rows = np.flatnonzero(wrong)
    if rows.size:
        count = len(np.asarray(wrong))
        raise InputError(path, f"{rows.size} of {count} {what} {fault}, first {first(int(rows[0]))}", remedy)


def refuse_repeats(values: Sequence[object], path: str | Path, what: str, remedy: str) -> None:
    """Refuse if a value occurs more than once."""
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        others = f", and so do {len(repeated) - 1} more" if len(repeated) > 1 else ""
        raise InputError(path, f"{what} {repeated[0]!r} occurs twice{others}", remedy)
