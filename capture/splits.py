"""Which drives are for training, for validation and for test. A drive is never torn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def assign_splits(
    drives: Iterable[str], *, held_out: Set[str], usable: Set[str], validation_fraction: float
) -> dict[str, str]:
    """A split for each drive, from nothing but the names, so that more footage moves hardly any.

    Drives held out are ``test``. Of the others those whose hash falls into the fraction are ``validation``,
    with one exception: where two or more are usable, at least one usable drive goes to each side. A single
    usable drive is all ``train``: validation on a part of it would leak.

    Args:
        drives: every drive.
        held_out: those kept out of training.
        usable: those with a usable clip.
        validation_fraction: 0 for no validation at all, up to but not including 1.
    """
    places = {drive: _place(drive) for drive in drives}
    splits = {
        drive: TEST if drive in held_out else VALIDATION if place < validation_fraction else TRAIN
        for drive, place in places.items()
    }
    choice = sorted((d for d in usable if splits.get(d, TEST) != TEST), key=lambda d: (places[d], d))
    if validation_fraction > 0 and len(choice) > 1:
        splits[choice[0]], splits[choice[-1]] = VALIDATION, TRAIN
    elif len(choice) == 1:
        splits[choice[0]] = TRAIN
    return splits


def _place(drive: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(drive.encode()).digest()[:8], "big") / 2**64
