"""The skill command: instructions with which a coding agent uses Calibrant."""

from __future__ import annotations

from pathlib import Path

import click

from calibrant.cli.output import say

_NAME = "calibrant"
_FILE = "SKILL.md"


@click.command()
@click.option("--install", "folder", type=click.Path(path_type=Path), metavar="DIR",
              help=f"Write DIR/{_NAME}/{_FILE} instead, e.g. into a project's folder of skills.")  # fmt: skip
def skill(folder: Path | None) -> None:
    """Print a skill file that tells coding agents how to use Calibrant."""
    from importlib.resources import files

    text = files(__package__).joinpath(_FILE).read_text("utf-8")
    if folder is None:
        say(text, nl=False)
        return
    from calibrant.artifacts.store import write_bytes

    path = folder / _NAME / _FILE
    write_bytes(path, text.encode())
    say(f"Wrote {path}")
