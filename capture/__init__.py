"""Camera to footage to dataset. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catseye.capture.dataset import open_dataset
    from catseye.capture.ingest import ingest
    from catseye.capture.synth import synth

__all__ = ["ingest", "open_dataset", "synth"]

_HOME = {"ingest": "ingest", "open_dataset": "dataset", "synth": "synth"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the runtime can take the frame path without the dataset's libraries."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # also where the import has just bound a module of the same name
    return value
