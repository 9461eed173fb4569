"""What the documents and examples/ show works: every command that is named exists, with these options."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from calibrant.cli import cli
from pages import PAGES, ROOT


def named_commands() -> dict[str, list[str]]:
    """Every ``calibrant …`` of every page, in blocks and in the text, split as a shell does."""
    texts = [page.read_text("utf-8") for page in PAGES]
    fenced = [line for text in texts for line in re.findall(r"^\$? *(calibrant .*)$", text, re.MULTILINE)]
    inline = [code for text in texts for code in re.findall(r"`(calibrant [^`]*)`", text)]
    commands = dict.fromkeys(" ".join(code.split()) for code in fenced + inline)
    return {command: shlex.split(command, comments=True) for command in commands}


def test_commands_are_named() -> None:
    assert len(named_commands()) > 50


@pytest.mark.parametrize("words", named_commands().values(), ids=named_commands())
def test_a_named_command_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest and rest[0].replace("-", "").isalpha():
        assert rest[0] in command.commands, f"no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    params = command.get_params(click.Context(command))  # those of the tasks, too
    known = {"--help"} | {option for one in params for option in (*one.opts, *one.secondary_opts)}
    assert [word for word in rest if word.startswith("-") and word not in known] == []


@pytest.mark.slow
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
