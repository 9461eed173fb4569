"""Text reaches a terminal through ``say`` and SafeConsole, a report through its escapes, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "calibrant"

WAYS = {
    "print", "click.echo", "click.secho", "click.echo_via_pager", "sys.stdout.write", "sys.stderr.write",
    "sys.stdout.buffer.write", "rich.print", "Console", "rich.console.Console", "warnings.warn",
    "Environment", "jinja2.Environment", "logging.basicConfig",
}  # fmt: skip
# Where it stands, what stands there, and why it is no way around.
ALLOWED = {
    ("cli/__init__.py", "click.echo"): "words of our own",
    ("cli/doctor.py", "click.echo"): "a shell's completion script, made by click",
    ("cli/output.py", "click.echo"): "say and print_json themselves",
    ("reports/html/page.py", "Environment"): "the one of the report, with finalize",
    ("reports/progress.py", "print"): "of printable text",
}


def ways_around(source: str) -> Iterator[str]:
    """Calls that show text as it is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in WAYS:
            yield name


def _found() -> set[tuple[str, str]]:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    return {
        (place, way)
        for file in files
        if not (place := file.relative_to(SOURCE).as_posix()).startswith("runtimes/tensorrt_")
        for way in ways_around(file.read_text("utf-8"))
    }


def test_there_is_no_way_around() -> None:
    assert _found() - ALLOWED.keys() == set()


@pytest.mark.parametrize("line", ["print(x)", "click.echo(x)", "console = Console()", "sys.stderr.write(x)"])
def test_a_way_around_would_be_seen(line: str) -> None:
    assert list(ways_around(line))
