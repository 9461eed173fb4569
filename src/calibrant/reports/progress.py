"""Progress on stderr: bars with the time left on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import threading
import time
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


class Lines(Notes):
    """Notes, and for a stage that takes long a line now and then: for log files and pipes.

    every: seconds between two lines of a stage; the first comes after as many.
    """

    def __init__(self, every: float = 15.0) -> None:
        self._every = every

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Advance]:
        """Tell how far a stage is, with the time that it took and will take."""
        done, begun, lock = 0, time.monotonic(), threading.Lock()
        told = begun

        def advance() -> None:
            nonlocal done, told
            with lock:
                done += 1
                now = time.monotonic()
                if now - told < self._every and not (done == total and told > begun):
                    return
                told = now
                self._tell(title, done, total, now - begun)

        yield advance

    def _tell(self, title: str, done: int, total: int, seconds: float) -> None:
        left = seconds / done * (total - done)
        ahead = f", about {left:.0f} s left" if done < total else ""
        print(f"{printable(title)}: {done}/{total} in {seconds:.0f} s{ahead}", file=sys.stderr)  # noqa: T201


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
