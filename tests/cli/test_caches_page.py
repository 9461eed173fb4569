"""docs/caches.md shows what the commands print, and every rule that they check."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from outcomes import Run

from calibrant.models.onnx.rules import RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "caches.md").read_text("utf-8")
EXAMPLES = [
    tuple(block.split("\n", 1)) for block in re.findall(r"```console\n\$ calibrant (.*?)```", PAGE, re.S)
]


def test_the_page_shows_every_command() -> None:
    assert [command.split(" fastestdet")[0] for command, _ in EXAMPLES] == [
        "cache show", "cache diff", "cache convert", "cache to-json", "migrate",
    ]  # fmt: skip


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_examples_print_what_the_page_shows(
    run: Run, work: Path, shared: Path, command: str, shown: str
) -> None:
    for source in (*shared.glob("tensorrt/caches-8.5.1.7/fastestdet*"), *shared.glob("models/fastestdet*")):
        (work / source.name).symlink_to(source)
    printed = run(*command.split()).out
    places = [printed.find(part) for part in shown.split("...\n")]
    assert places[0] == 0
    assert -1 not in places
    assert all(first <= second for first, second in pairwise(places))


def test_the_page_lists_every_rule() -> None:
    table = PAGE.split("| rule | |\n|---|---|\n")[1].split("\n\n")[0]
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()] == list(RULES)
