"""Errors that a user can act on. The command line prints each as one line and no traceback."""

from __future__ import annotations

from os import PathLike


class CatseyeError(Exception):
    """The work failed for a reason that the message names. Exit code 1."""


class InputError(CatseyeError):
    """A file, folder or document is not what it must be.

    The message reads ``subject: fault; remedy``.
    """

    def __init__(self, subject: str | PathLike[str], fault: str, remedy: str) -> None:
        self.subject, self.fault, self.remedy = str(subject), fault, remedy
        super().__init__(f"{self.subject}: {fault}; {remedy}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.subject, self.fault, self.remedy)


class UsageError(CatseyeError):
    """An option has a value that cannot be. Exit code 2."""


class MissingExtraError(CatseyeError):
    """A library of an optional extra is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; run: pip install 'catseye[{extra}]'")
