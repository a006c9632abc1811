"""Names of a detector's classes, and which of them the bundle keeps and under what names."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catseye.errors import InputError, UsageError


@dataclass(frozen=True)
class ClassMap:
    """A bundle's classes, each made of one or more of the model's.

    Args:
        names: of the bundle's classes.
        groups: for each, the model's class indices; a detection's score for it is the best of theirs.
        total: classes of the model.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    total: int

    @property
    def is_identity(self) -> bool:
        return self.groups == tuple((index,) for index in range(self.total))


def map_classes(names: Sequence[str], *, keep: Sequence[str], rename: Mapping[str, str]) -> ClassMap:
    """Keep some classes, or all where none is named, and rename some; those of one new name become one class.

    The order is the model's, a merged class standing where its first part stood.

    Raises:
        UsageError: a name is not the model's, or one is renamed that is not kept.
    """
    for option, given in (("--keep", keep), ("--rename", rename)):
        for name in given:
            if name not in names:
                raise UsageError(f"{option} {name}: the model has {_listed(names)}")
    kept = [name for name in names if not keep or name in keep]
    for name in rename:
        if name not in kept:
            raise UsageError(f"--rename {name}={rename[name]}: --keep leaves {name} out")
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name in kept:
            groups.setdefault(rename.get(name, name), []).append(index)
    return ClassMap(tuple(groups), tuple(tuple(group) for group in groups.values()), len(names))


def parse_renames(text: str) -> dict[str, str]:
    """``car=vehicle,bus=vehicle`` as a mapping.

    Raises:
        UsageError: it is not of that form, or one class gets two names.
    """
    renames: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        old, equals, new = (piece.strip() for piece in part.partition("="))
        if not (old and equals and new) or renames.setdefault(old, new) != new:
            raise UsageError(f"--rename {part}: write OLD=NEW, with commas between and each OLD once")
    return renames


def class_names(
    file: str | Path | None, metadata: Mapping[str, str], *, count: int | None, subject: str | Path
) -> tuple[str, ...]:
    """The model's class names: from a file with one a line, else from the model's own metadata ``names``.

    Args:
        count: how many the model's outputs have, where they tell.

    Raises:
        InputError: the file cannot be read, names a class twice or nothing, or their number is another.
        UsageError: there are no names.
    """
    source: str | Path
    if file is not None:
        source, names = file, _of_file(Path(file))
    elif "names" in metadata:
        source, names = subject, _of_metadata(metadata["names"], subject)
    else:
        raise UsageError(f"{subject} names no classes: give --classes FILE with one name a line")
    for name in names:
        if names.count(name) > 1:
            raise InputError(source, f"names class {name!r} twice", "give each class a name of its own")
    if count is not None and len(names) != count:
        raise InputError(source, f"names {len(names)} classes, the model has {count}", "name each once")
    return names


def _of_file(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else "is not text"
        raise InputError(
            path, f"cannot be read ({fault})", "give a file with one class name a line"
        ) from None
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(path, "names no class", "write one name a line")
    return names


def _of_metadata(text: str, subject: str | Path) -> tuple[str, ...]:
    """Ultralytics writes Python's text of ``{0: 'person', …}``."""
    fault = InputError(
        subject, "names its classes in a way that is not known", "give --classes FILE with one name a line"
    )
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise fault from None
    if isinstance(found, dict) and sorted(found) == list(range(len(found))) and found:
        return tuple(str(found[index]) for index in range(len(found)))
    if isinstance(found, list) and found:
        return tuple(map(str, found))
    raise fault


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
