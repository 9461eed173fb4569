"""What commands share when they talk: progress on stderr, JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import click

from calibrant.core.printable import printable_lines
from calibrant.core.progress import Progress


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those the user left to the API's own default."""
    return {name: value for name, value in settings.items() if value is not None}


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text, with escapes for whatever in it a terminal would obey."""
    click.echo(printable_lines(text), err=err, nl=nl)


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout, in ASCII where stdout takes no Unicode."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    text = json.dumps(content, indent=2, ensure_ascii=not encoding.lower().startswith("utf"))
    click.echo("".join(map(_json_sign, text)) if not text.replace("\n", "").isprintable() else text)


def show_estimate(found: Any, as_json: bool) -> None:
    """Print what a command would do and take."""
    if as_json:
        print_json(found.to_dict())
    else:
        say("\n".join(found.lines()))


def _json_sign(sign: str) -> str:
    """A sign of JSON text; what a terminal would obey as JSON's own escape, which reads back as it was."""
    if sign.isprintable() or sign in "\n\N{NO-BREAK SPACE}":
        return sign
    return json.dumps(sign)[1:-1]


@contextmanager
def progress_of(quiet: bool) -> Iterator[Progress]:
    """On stderr: bars on a terminal, else a line now and then; only notes where ``quiet``."""
    from calibrant.core.scratch import scratch_remark

    with _listener(quiet) as progress:
        if remark := scratch_remark():
            progress.note(remark)
        yield progress


@contextmanager
def _listener(quiet: bool) -> Iterator[Progress]:
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
