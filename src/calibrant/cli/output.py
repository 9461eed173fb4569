"""What commands share when they talk: progress on stderr, JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import click

from calibrant.core.progress import Progress


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those the user left to the API's own default."""
    return {name: value for name, value in settings.items() if value is not None}


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout, in ASCII where stdout takes no Unicode."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    click.echo(json.dumps(content, indent=2, ensure_ascii=not encoding.lower().startswith("utf")))


@contextmanager
def progress_of(quiet: bool) -> Iterator[Progress]:
    """On stderr: bars on a terminal, else a line now and then; only notes where ``quiet``."""
    from calibrant.reports.progress import Bars, Lines, Notes

    if quiet:
        yield Notes()
    elif is_terminal(sys.stderr):
        with Bars() as bars:
            yield bars
    else:
        yield Lines()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches; a stream that the caller has closed is None."""
    return stream is not None and stream.isatty()
