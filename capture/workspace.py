"""A dataset's folder while it is written: one writer, and what is set by for going on after a kill."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from catseye.capture.dataset import (
    CLIPS_NAME,
    INFO_NAME,
    SHARDS_NAME,
    WORK_NAME,
    ClipOptions,
    DatasetInfo,
)
from catseye.capture.manifest import Clip, read_clips
from catseye.errors import InputError
from catseye.files import exclusive, sha256_of, write_text

_log = logging.getLogger(__name__)

_LOCK, _HASHES = "lock", "hashes.jsonl"
_KEPT = {_LOCK, _HASHES}
_SAME_OPTIONS = ("width", "height", "max_clip_s", "gap_s", "redaction")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the dataset for one writer; make its folders.

    Raises:
        InputError: another process writes it, or something else has its name.
    """
    try:
        for folder in (out / WORK_NAME, out / SHARDS_NAME):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(out, "is not a folder", "name another --out") from None
    busy = InputError(out, "is being written by another ingest", "wait until that is done")
    with exclusive(out / WORK_NAME / _LOCK, busy=busy):
        yield


def rows_path(out: Path, sha256: str) -> Path:
    """Where a finished video leaves its rows until all are done."""
    return out / WORK_NAME / f"{sha256}.parquet"


def known_clips(out: Path, options: ClipOptions) -> tuple[Clip, ...]:
    """The rows the dataset has, after making sure that new ones will be like them.

    Raises:
        InputError: it was made, or begun, with other options, or cannot be read.
    """
    begun = out / WORK_NAME / "options.json"
    if (out / INFO_NAME).exists():
        _check_same(out, ClipOptions.model_validate(DatasetInfo.load(out / INFO_NAME).model_dump()), options)
    elif begun.exists():
        _check_same(out, ClipOptions.load(begun), options)
    else:
        options.save(begun)
    if not (out / CLIPS_NAME).exists():
        return ()
    try:
        return read_clips(str(out / CLIPS_NAME))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(out / CLIPS_NAME, f"cannot be read ({error})", "name another --out") from None


def tidy(out: Path, clips: Sequence[Clip]) -> None:
    """Remove what was set by for going on, and shards that no row refers to."""
    for path in (out / WORK_NAME).iterdir():
        if path.name not in _KEPT:
            path.unlink()
    wanted = {clip.shard for clip in clips}
    for path in (out / SHARDS_NAME).iterdir():
        if f"{SHARDS_NAME}/{path.name}" not in wanted:
            path.unlink()


def mark_of(path: Path) -> list[int]:
    """What changes with a file's content: its size, time of change and inode.

    Raises:
        OSError: there is no such file.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def read_hashes(out: Path) -> dict[str, tuple[list[int], str]]:
    """What ``Hashes`` has noted beside a dataset, by path: mark and SHA-256."""
    path = out / WORK_NAME / _HASHES
    known: dict[str, tuple[list[int], str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            name, mark, sha256 = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        known[name] = (mark, sha256)
    return known


class Hashes:
    """SHA-256 of files, known again by path, size, time of change and inode, so that none is read twice.

    Each is noted as soon as it is known: a kill in the middle of a fleet's footage costs one file.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / WORK_NAME / _HASHES
        self._known = read_hashes(out)

    def of(self, path: Path) -> str:
        """A file's hash.

        Raises:
            OSError: it cannot be read.
        """
        mark = mark_of(path)
        known = self._known.get(str(path))
        if known is not None and known[0] == mark:
            return known[1]
        sha256 = sha256_of(path)
        self._known[str(path)] = (mark, sha256)
        with self._path.open("a") as stream:
            stream.write(json.dumps([str(path), mark, sha256]) + "\n")
        return sha256

    def save(self) -> None:
        """Write one line a file, in order."""
        lines = [json.dumps([path, *self._known[path]]) + "\n" for path in sorted(self._known)]
        write_text(self._path, "".join(lines))


def _check_same(out: Path, had: ClipOptions, wanted: ClipOptions) -> None:
    for name in _SAME_OPTIONS:
        if getattr(had, name) != getattr(wanted, name):
            raise InputError(
                out,
                f"was made with {name} {getattr(had, name)!r}, not {getattr(wanted, name)!r}",
                "give the same or name another --out",
            )
