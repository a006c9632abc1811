"""Inspect a dataset: sum it up, look at some of its clips, write the page."""

from __future__ import annotations

from pathlib import Path

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import open_dataset
from catseye.capture.inspection.page import render_page
from catseye.capture.inspection.positions import read_tracks
from catseye.capture.inspection.sheets import choose_kept, choose_set_aside, thumbnails
from catseye.capture.inspection.summary import InspectionSummary, summarise
from catseye.errors import UsageError
from catseye.files import write_text
from catseye.progress import Progress, silent

MOST_THUMBNAILS = 200


def inspect(
    dataset_url: str | Path,
    *,
    out: Path,
    thumbnails_each: int = 24,
    seed: int = 0,
    progress: Progress = silent,
) -> InspectionSummary:
    """Write one page that shows what is in a dataset, and return its numbers.

    The page needs nothing beside it and no network. Of a dataset that is not on this machine, the shards of
    the clips pictured are fetched.

    Args:
        dataset_url: folder or fsspec URL.
        out: the HTML file to write.
        thumbnails_each: most pictures on the sheet of kept clips, and on that of clips set aside.
        seed: same seed, same pictures.
        progress: told of pictures done.

    Raises:
        InputError: there is no dataset, or its tables cannot be read.
        UsageError: an option cannot be.
    """
    if out.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--out {out}: name an .html file")
    if not 0 <= thumbnails_each <= MOST_THUMBNAILS:
        raise UsageError(f"--thumbnails {thumbnails_each}: must be 0 to {MOST_THUMBNAILS}")
    dataset = open_dataset(dataset_url)
    summary = summarise(dataset)
    kept = choose_kept(dataset.clips, most=thumbnails_each, seed=seed)
    aside = choose_set_aside(dataset.clips, most=thumbnails_each, seed=seed)
    reader = ClipReader(dataset)
    try:
        pictures = thumbnails(reader, [*kept, *aside], progress=progress)
    finally:
        reader.close()
    page = render_page(
        summary, read_tracks(dataset), kept=pictures[: len(kept)], set_aside=pictures[len(kept) :]
    )
    write_text(out, page)
    return summary
