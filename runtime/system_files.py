"""What Linux tells in files below ``/proc``, ``/sys`` and ``/etc``; a test gives a tree of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SystemFiles:
    """Files below ``root``, named from there without a leading slash."""

    root: Path = Path("/")

    def text(self, name: str) -> str:
        """Content without surrounding blanks and zeros; empty where it cannot be read."""
        try:
            return (self.root / name).read_text(errors="replace").strip("\0 \n")
        except OSError:
            return ""

    def number(self, name: str) -> float | None:
        """The number that a file begins with; None where there is none."""
        try:
            return float(self.text(name).split()[0])
        except (IndexError, ValueError):
            return None

    def find(self, pattern: str) -> Iterator[str]:
        """Names that match a pattern, sorted."""
        return (str(path.relative_to(self.root)) for path in sorted(self.root.glob(pattern)))
