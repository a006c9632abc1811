"""What the command line shows: progress bars, tables, and one line for an error."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from catseye.errors import CatseyeError, MissingExtraError, UsageError
from catseye.extras import extra_of
from catseye.files import DISK_IS_FULL
from catseye.progress import Progress as ProgressCallback

_NO_SUCH_PLACE = frozenset(
    {errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
)

error_console = Console(stderr=True, soft_wrap=True, highlight=False)
output_console = Console(highlight=False)


class _ConsoleHandler(logging.Handler):
    """A message a line, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()}: {self.format(record)}"
        error_console.print(line, markup=False)


def configure_logging(*, debug: bool) -> None:
    """Our own messages to standard error, and others' from warnings on; everything of ours with ``debug``."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_ConsoleHandler()], force=True)
    logging.getLogger("catseye").setLevel(logging.DEBUG if debug else logging.INFO)


@contextmanager
def progress_bars() -> Iterator[ProgressCallback]:
    """Yield a callback that shows a bar a label, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=error_console) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield advance


@contextmanager
def live_table(header: Sequence[str]) -> Iterator[Callable[[Sequence[Sequence[object]]], None]]:
    """Yield a function that shows rows in place of those before, on standard error if it is a terminal."""
    if not error_console.is_terminal:
        yield lambda rows: None
        return
    with Live(console=error_console, transient=True, auto_refresh=False) as live:
        yield lambda rows: live.update(_table("", header, rows), refresh=True)


def print_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[object]], *, to: Console = output_console
) -> None:
    """A table on standard output; columns of numbers to the right, others to the left.

    What is too long for a column goes on below: a path or a time that is cut off is of no use.
    """
    to.print(_table(title, header, rows))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(title=escape(title), title_justify="left", header_style="bold")
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    for number, name in enumerate(header):
        numbers = all(row[number][:1].isdigit() or row[number][:1] in "-+<>" for row in cells)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def describe(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code for an error that a user can act on; None for a fault of ours."""
    if isinstance(error, UsageError):
        return str(error), 2
    if isinstance(error, CatseyeError):
        return str(error), 1
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        if (extra := extra_of(module)) is not None:
            return str(MissingExtraError(module, extra)), 1
    if _disk_is_full(error):
        place = getattr(error, "filename", None) or "the output's disk"
        return (
            f"{place}: no space left; free some and run the same command again, what was finished is kept",
            1,
        )
    if isinstance(error, OSError) and error.errno in _NO_SUCH_PLACE:
        return f"{error.filename}: {error.strerror}; name a place that can be read and written", 1
    return None


def _disk_is_full(error: BaseException) -> bool:
    """Some libraries wrap the system's error and keep only its text."""
    return getattr(error, "errno", None) in DISK_IS_FULL or "No space left on device" in str(error)
