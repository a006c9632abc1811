"""What TensorRT's Python classes have by the bindings of several versions, and calls held to it.

``runtime/tensorrt_api.json`` is what ``scripts/tensorrt_api.py`` read from the bindings of TensorRT 10.3.0
(JetPack 6.1 and 6.2), TensorRT 11.4.0 and TensorRT for RTX 1.7.1: names, which properties can be set, and
each overload's arguments by the docstrings, of which NVIDIA's documentation of the Python API is made.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "runtime" / "tensorrt_api.json"


class WrongCallError(AssertionError):
    """The runtime asks for what some TensorRT does not have, or does what no GPU allows."""


@cache
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text())
    return found


@cache
def enumeration(name: str) -> type[enum.IntEnum]:
    """As 10.3 has it, with the members that every version has."""
    versions = [record["enums"][name] for record in recorded().values()]
    shared = {key: value for key, value in versions[0].items() if all(key in other for other in versions)}
    return enum.IntEnum(name, shared)


def kind_of(class_name: str, member: str) -> Any:
    """What a member is in each version; a call's overloads are joined per version.

    Raises:
        WrongCallError: some version has no such member.
    """
    kinds = {version: record["classes"][class_name].get(member) for version, record in recorded().items()}
    missing = [version for version, kind in kinds.items() if kind is None]
    if missing:
        raise WrongCallError(f"{class_name}.{member}: not in TensorRT {', '.join(missing)}")
    return kinds


def check_read(class_name: str, member: str) -> None:
    kind_of(class_name, member)


def check_set(class_name: str, member: str) -> None:
    fixed = [version for version, kind in kind_of(class_name, member).items() if kind != "settable"]
    if fixed:
        raise WrongCallError(f"{class_name}.{member} cannot be set in TensorRT {', '.join(fixed)}")


def check_call(class_name: str, member: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Hold a call to every version: some overload takes these arguments, by number, name and type."""
    for version, overloads in kind_of(class_name, member).items():
        if isinstance(overloads, str):
            raise WrongCallError(
                f"{class_name}.{member} is a {overloads} in TensorRT {version}, and is called"
            )
        if not any(_takes(overload, args, named) for overload in overloads):
            raise WrongCallError(
                f"{class_name}.{member} of TensorRT {version} takes ({'), ('.join(overloads)}), "
                f"not {args!r} {dict(named)!r}"
            )


def arguments(overload: str) -> dict[str, tuple[str, bool]]:
    """Type and whether there is a default, by name, of ``a: int, b: Kind = <Kind.X: 0>``."""
    found = {}
    for part in overload.split(", ") if overload else []:
        name, _, rest = part.partition(": ")
        kind, default, _ = rest.partition(" = ")
        found[name] = (kind, bool(default))
    return found


def _takes(overload: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    known = arguments(overload)
    if len(args) > len(known) or set(named) - set(known):
        return False
    given = dict(zip(known, args, strict=False))
    if set(given) & set(named):
        return False
    given |= named
    needed = {name for name, (_, has_default) in known.items() if not has_default}
    return needed <= set(given) and all(_fits(known[name][0], value) for name, value in given.items())


def _fits(kind: str, value: Any) -> bool:
    if kind in {"int", "typing.SupportsInt"}:
        return isinstance(value, int) and not isinstance(value, bool | enum.Enum)
    if kind in {"buffer", "typing_extensions.Buffer"}:
        return isinstance(value, bytes | bytearray | memoryview)
    if kind in {"str", "bool"}:
        return type(value).__name__ == kind
    return kind in {base.__name__ for base in type(value).__mro__} or kind == getattr(value, "held_as", None)
