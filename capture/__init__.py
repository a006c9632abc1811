"""Camera to footage to dataset. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.capture.dataset import open_dataset
    from catseye.capture.ingestion import ingest
    from catseye.capture.rendering import synth

__all__ = ["ingest", "open_dataset", "synth"]

# The runtime takes the frame path from here without the dataset's libraries.
__getattr__ = lazily(__name__, {"ingest": "ingestion", "open_dataset": "dataset", "synth": "rendering"})
