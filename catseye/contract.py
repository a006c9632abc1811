"""Versioned documents: what one stage writes and another reads.

A contract is a pydantic model with a ``schema_version`` of the form ``MAJOR.MINOR``. A newer minor version
only adds fields, and loads. A newer major version is refused, since its fields may mean something else.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from catseye.errors import InputError
from catseye.files import write_text

_MOST_SHOWN = 200
"""Characters of a document that an error repeats."""


class Contract(BaseModel):
    """Base of every document that crosses a stage. Subclasses set ``VERSION`` and ``REMEDY``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "make it again with this version"

    schema_version: str = ""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, aside and renamed into place."""
        write_text(path, self.to_json())

    def to_json(self) -> str:
        return (
            self.model_copy(update={"schema_version": self.written_version()}).model_dump_json(indent=2)
            + "\n"
        )

    def written_version(self) -> str:
        """What the document says it is: the least version whose readers understand all that is in it."""
        return self.VERSION

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read and validate.

        Raises:
            InputError: the file is absent, is not JSON, is of a newer major version, or a field does not fit.
        """
        try:
            text = Path(path).read_text()
        except FileNotFoundError:
            raise InputError(path, "no such file", cls.REMEDY) from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(path, f"cannot be read ({error})", cls.REMEDY) from None
        return cls.parse(text, subject=path)

    @classmethod
    def parse(cls, text: str | bytes, *, subject: str | os.PathLike[str]) -> Self:
        """Validate JSON text; ``subject`` is what an error names."""
        try:
            # The library would take other encodings too.
            utf8 = text if isinstance(text, str) else text.decode()
            document = json.loads(utf8, object_pairs_hook=_unique)
        except _DuplicateError as error:
            raise InputError(subject, f"says {error} twice", cls.REMEDY) from None
        except (ValueError, RecursionError):
            raise InputError(subject, "is not JSON", cls.REMEDY) from None
        if not isinstance(document, dict):
            raise InputError(subject, "is not a JSON object", cls.REMEDY)
        _check_version(document.get("schema_version"), cls.VERSION, subject=subject, remedy=cls.REMEDY)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])[:_MOST_SHOWN]
            raise InputError(subject, f"field {field!r}: {first['msg']}", cls.REMEDY) from None


class _DuplicateError(Exception):
    """A JSON object has a key twice; readers differ on which counts."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for key, value in pairs:
        if key in document:
            raise _DuplicateError(repr(key[:_MOST_SHOWN]))
        document[key] = value
    return document


def _check_version(found: object, known: str, *, subject: str | os.PathLike[str], remedy: str) -> None:
    parts = re.fullmatch(r"([0-9]{1,6})\.[0-9]{1,6}", found) if isinstance(found, str) else None
    if parts is None:
        told = repr(found)[:_MOST_SHOWN]
        raise InputError(subject, f"field 'schema_version' is {told}, not MAJOR.MINOR", remedy)
    if int(parts[1]) > int(known.split(".", maxsplit=1)[0]):
        raise InputError(
            subject, f"has schema version {found}, newer than {known}, the one known here", "upgrade catseye"
        )
