"""The skill file; test_code_blocks.py runs its commands."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from outcomes import Run

from calibrant.cli import cli
from pages import SKILL


def test_it_is_printed_as_it_stands(run: Run) -> None:
    assert run("skill").out == SKILL.read_text("utf-8")


def test_it_is_installed_where_agents_look_for_it(run: Run, tmp_path: Path) -> None:
    answer = run("skill", "--install", tmp_path / "skills")
    assert answer.code == 0
    assert (tmp_path / "skills" / "calibrant" / "SKILL.md").read_bytes() == SKILL.read_bytes()


def test_its_head_is_what_agents_read_first() -> None:
    _, head, _ = SKILL.read_text("utf-8").split("---\n", 2)
    told = yaml.safe_load(head)
    assert told.keys() == {"name", "description"}
    assert told["name"] == "calibrant"
    assert "Use when" in told["description"]
    assert len(told["description"]) <= 1024


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"calibrant ([a-z]+)", SKILL.read_text("utf-8").split("---\n", 2)[2]))
    assert {"study", "diagnose", "optimize", "coverage"} <= named <= cli.commands.keys()
