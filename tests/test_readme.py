"""What the README and examples/ show works: its Python runs, its commands exist with these options."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from calibrant.cli import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def shown_commands() -> list[list[str]]:
    """Every ``calibrant …`` line of the README, in blocks and in the table, split as a shell does."""
    fenced = re.findall(r"^\$? ?(calibrant .*)$", README, re.MULTILINE)
    inline = re.findall(r"`(calibrant [^`]*)`", README)
    return [shlex.split(line, comments=True) for line in fenced + inline]


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 8


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_a_shown_command_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        assert rest[0] in command.commands, f"no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in rest if word.startswith("-") and word not in known] == []


def test_the_python_of_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_example_ranks_a_calibrator_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ddddocr", reason="needs the demo's detector: pip install calibrant[demo]")
    example = loaded(ROOT / "examples" / "own_calibrator.py")
    example.main(tmp_path, images=6)
    printed = capsys.readouterr().out
    assert "nine_tenths" in printed
    assert "use " in printed


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
