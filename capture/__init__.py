"""Camera to footage to dataset. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.capture.chessboard import calibrate
    from catseye.capture.dataset import open_dataset
    from catseye.capture.erasure import erase_drive
    from catseye.capture.ingestion import ingest
    from catseye.capture.inspection import inspect
    from catseye.capture.recording.recorder import record
    from catseye.capture.recording.salvaging import salvage
    from catseye.capture.rendering import synth
    from catseye.capture.uploading import upload

__all__ = [
    "calibrate",
    "erase_drive",
    "ingest",
    "inspect",
    "open_dataset",
    "record",
    "salvage",
    "synth",
    "upload",
]

# The runtime takes the frame path from here without the dataset's libraries.
__getattr__ = lazily(
    __name__,
    {
        "calibrate": "chessboard",
        "erase_drive": "erasure",
        "ingest": "ingestion",
        "inspect": "inspection",
        "open_dataset": "dataset",
        "record": "recording.recorder",
        "salvage": "recording.salvaging",
        "synth": "rendering",
        "upload": "uploading",
    },
)
