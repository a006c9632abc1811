"""Sizes of all files below a folder, kept up to date by looking only at what may have changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

AFRESH_EVERY_S = 600.0
"""However final its name, a file may have been changed by somebody: after so long all are looked at again."""

_SETTLED_NS = 3 * 10**9
"""A folder that changed more recently may change once more within its time stamp's tick: 2 s on FAT."""


@dataclass
class _Listing:
    """What a folder held when it was last listed.

    Args:
        changed_ns: its time stamp then.
        is_settled: whether every change since would have moved the time stamp.
        sizes: bytes of its files by name.
        growing: names of those that may change.
        folders: names of the folders in it.
    """

    changed_ns: int = -1
    is_settled: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)


class FolderSizes:
    """Sizes of the files below a folder.

    Folders are listed again only when their time stamp has moved, and files of a final name are asked for
    their size once; so that with a hundred thousand segments to look after, a look costs next to nothing.

    Args:
        root: the folder.
        is_final: whether a file of this name is written to no more.
    """

    def __init__(self, root: Path, *, is_final: Callable[[str], bool]) -> None:
        self._root, self._is_final = root, is_final
        self._known: dict[str, _Listing] = {}
        self._afresh_at_s = float("-inf")

    def read(self) -> list[tuple[Path, Mapping[str, int]]]:
        """Each folder from the root down with the bytes of its files by name.

        What vanishes meanwhile is left out.

        Raises:
            OSError: a folder cannot be read.
        """
        if time.monotonic() >= self._afresh_at_s:
            self._known, self._afresh_at_s = {}, time.monotonic() + AFRESH_EVERY_S
        found: dict[str, _Listing] = {}
        waiting = [str(self._root)]
        while waiting:
            folder = waiting.pop()
            try:
                found[folder] = self._look(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise
                continue
            waiting += [f"{folder}/{name}" for name in found[folder].folders]
        self._known = found
        return [(Path(folder), listing.sizes) for folder, listing in found.items()]

    def _look(self, folder: str) -> _Listing:
        listing = self._known.get(folder) or _Listing()
        now_ns, changed_ns = time.time_ns(), Path(folder).stat().st_mtime_ns
        if listing.is_settled and listing.changed_ns == changed_ns:
            unsure = listing.growing
        else:
            names = set(os.listdir(folder))  # noqa: PTH208  # a Path for each of 100,000 names takes a second
            for name in listing.sizes.keys() - names:
                del listing.sizes[name]
            listing.growing &= names
            listing.folders &= names
            listing.changed_ns, listing.is_settled = changed_ns, now_ns - changed_ns > _SETTLED_NS
            unsure = listing.growing | (names - listing.sizes.keys() - listing.folders)
        for name in list(unsure):
            self._ask(folder, name, listing)
        return listing

    def _ask(self, folder: str, name: str, listing: _Listing) -> None:
        try:
            found = os.lstat(f"{folder}/{name}")
        except FileNotFoundError:  # since the folder was asked
            listing.sizes.pop(name, None)
            listing.growing.discard(name)
            return
        if stat.S_ISDIR(found.st_mode):
            listing.folders.add(name)
            return
        listing.sizes[name] = found.st_size
        if not self._is_final(name):
            listing.growing.add(name)
