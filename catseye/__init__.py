"""Catseye: a fleet's unlabelled camera footage into one small network that runs on the vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catseye.version import __version__

if TYPE_CHECKING:
    from catseye.model import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """``load`` on first use: what imports only a stage needs none of the others' libraries."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from catseye.model import load

    return load
