"""Progress on stderr: bars with the time left on a terminal, plain notes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from calibrant.core.printable import printable
from calibrant.core.progress import Advance, Silent
from calibrant.reports.terminal import SafeConsole


class Notes(Silent):
    """Prints notes as plain lines on stderr, and no bars."""

    def note(self, text: str) -> None:
        """Print one line."""
        print(f"note: {printable(text)}", file=sys.stderr)  # noqa: T201


class Bars:
    """A bar for each stage, with elapsed and remaining time; a context manager."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=SafeConsole(stderr=True),
            transient=True,
        )

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Advance]:
        """Show a bar until the stage ends."""
        task = self._bars.add_task(escape(title), total=total)
        yield lambda: self._bars.advance(task)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(f"[yellow]note:[/yellow] {escape(printable(text))}", highlight=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
