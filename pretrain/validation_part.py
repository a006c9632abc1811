"""Stills kept back from those to learn from, and when a run that is checked on them should end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from catseye.capture.splits import VALIDATION, assign_splits
from catseye.errors import InputError
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.training_state import Position


def keep_back(labels: Labels, *, share: float, group_from: str) -> tuple[Labels, Labels]:
    """The labels to learn from, and those to check on: about ``share`` of the groups, none of them torn.

    Which ones depends on the groups' names alone, see ``assign_splits``.

    Raises:
        InputError: fewer than two groups have a labelled object, or a name has no part that matches.
    """
    groups = groups_of([image.file_name for image in labels.images], labels=labels, group_from=group_from)
    with_objects = {group for group, image in zip(groups, labels.images, strict=True) if _shows_object(image)}
    if len(with_objects) < 2:
        of = f" that {group_from!r} tells apart" if group_from else ""
        fault = f"has {len(with_objects)} groups of stills with objects{of}"
        raise InputError(labels.path, fault, "learn without --patience, or tell more groups apart")
    splits = assign_splits(groups, held_out=frozenset(), usable=with_objects, validation_fraction=share)
    parts: tuple[list[LabelledImage], list[LabelledImage]] = ([], [])
    for group, image in zip(groups, labels.images, strict=True):
        parts[splits[group] == VALIDATION].append(image)
    learn, check = (replace(labels, images=tuple(part)) for part in parts)
    return learn, check


def groups_of(names: Sequence[str], *, labels: Labels, group_from: str) -> list[str]:
    """The group of each file name: what ``group_from`` matches, or else its folder.

    Of a pattern with a group in parentheses, that group. Where all are in one folder, each is by itself.

    Raises:
        InputError: a name does not match.
    """
    if group_from:
        found = [re.search(group_from, name) for name in names]
        missing = [name for name, match in zip(names, found, strict=True) if match is None]
        if missing:
            fault = (
                f"{len(missing)} of {len(names)} file names have no part {group_from!r}, first {missing[0]!r}"
            )
            raise InputError(labels.path, fault, "give a --group-from that matches all of them")
        return [match[min(1, match.re.groups)] or "" for match in found if match is not None]
    folders = [str(PurePosixPath(name).parent) for name in names]
    return folders if len(set(folders)) > 1 else list(names)


def checked(position: Position, figure: float) -> bool:
    """Note what a check at the position has given; True where it is the best so far."""
    if figure <= position.best:
        return False
    position.best, position.best_step = figure, position.step
    return True


def out_of_patience(position: Position, *, patience: int, check_every: int) -> bool:
    """Whether as many checks as ``patience`` have passed since the best one; 0 is never."""
    return bool(patience) and position.step // check_every - position.best_step // check_every >= patience


def _shows_object(image: LabelledImage) -> bool:
    return bool((~image.crowd).any())
