"""What there is to upload, and what goes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from catseye.capture import journal
from catseye.capture.journal import LOCK_SUFFIX, PROXY_SUFFIX, SegmentClosed, Uploaded
from catseye.capture.retention import StoredSegment, deletion_order
from catseye.capture.telemetry import TELEMETRY_SUFFIX


@dataclass(frozen=True)
class Item:
    """A file to upload.

    Args:
        segment: the segment that it is, or that it goes with.
        file: its name in the segment's folder.
        closed: its line in the journal; None for a companion that has none.
        uploaded: whether the journal says that it is at the target.
    """

    segment: StoredSegment
    file: str
    closed: SegmentClosed | None
    uploaded: bool

    @property
    def path(self) -> Path:
        return self.segment.folder / self.file

    @property
    def is_small(self) -> bool:
        """Whether it is a proxy or telemetry: enough to judge a drive by, and soon sent."""
        return PROXY_SUFFIX in Path(self.file).suffixes or self.file.endswith(TELEMETRY_SUFFIX)


def upload_order(items: Iterable[Item]) -> list[Item]:
    """Small companions first, then locked segments, then the rest; the oldest first in each."""
    return sorted(
        items,
        key=lambda item: (
            (0 if item.is_small else 1 if item.segment.locked else 2),
            item.segment.stem,
            str(item.path),
        ),
    )


def items_of(folder: Path, *, url: str) -> tuple[list[Item], list[str]]:
    """What a camera's folder has to upload, in no order.

    Args:
        folder: the camera's.
        url: of the folder at the target.

    Returns:
        The journal's segments that are there, with their companions, and the names of those that are not,
        though the journal does not say that they went.

    Raises:
        InputError: the journal cannot be read.
    """
    entries = journal.read(folder)
    closed = journal.segments(entries)
    sent = {(e.file, e.url): e.sha256 for e in entries if isinstance(e, Uploaded)}
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    items: list[Item] = []
    for segment in deletion_order([(folder, sizes)]):
        if not closed.keys() & set(segment.files):
            continue  # salvage has not yet said what it is
        for file in segment.files:
            if file.endswith(LOCK_SUFFIX):
                continue
            known = closed.get(file)
            sha256 = sent.get((file, f"{url}/{file}"))
            items.append(
                Item(
                    segment=segment,
                    file=file,
                    closed=known,
                    uploaded=sha256 is not None and (known is None or known.sha256 == sha256),
                )
            )
    return items, [file for file in closed if file not in sizes]
