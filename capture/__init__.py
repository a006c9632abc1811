"""Camera to footage to dataset. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catseye.capture.dataset import open_dataset
    from catseye.capture.ingest import ingest
    from catseye.capture.synth import synth

__all__ = ["ingest", "open_dataset", "synth"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the runtime can take the frame path without the dataset's libraries."""
    if name == "open_dataset":
        from catseye.capture.dataset import open_dataset

        return open_dataset
    if name == "ingest":
        from catseye.capture.ingest import ingest

        return ingest
    if name == "synth":
        from catseye.capture.synth import synth

        return synth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
