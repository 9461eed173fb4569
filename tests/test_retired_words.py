"""Words that were retired for the field's own (docs/architecture.md) stay away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import calibrant

ROOT = Path(calibrant.__file__).parent
RETIRED = re.compile(
    r"\b(Workshop|Laboratory|TestBench|Entrant|Option|Trialed|CandidateModel|_Runner|Outcome|Measured|Measurement|"
    r"Scored|Mended|Keeper|Shown|QuantizationPlan|Effort|Case|KeptResults)\b(?=[(\[:,.)\]]| =| import|$)"
    r"|\b(class|import) (Entrant|Option|Outcome|Measured|Scored|Mended|Keeper|Shown|Case|Effort)\b"
    r"|[Ll]evers?\b|LEVER|[Mm]ended\b|\bmending\b|\b[Ss]paring\b|\bspared\b|keep_float\b|keep-float\b"
    r"|beyond.doubt|told from|telling tensors|hardly exceeded|\bshown\(\)"
)
ALLOWED = {
    "cli/__init__.py": 1,  # the former name of an option, which works
    "cli/caches.py": 1,
    "cli/options.py": 1,
    "studies/plan.py": 1,  # the former name of a setting
    "studies/schema_1.py": 2,  # keys of files that were written before
    "cli/task_options.py": 99,  # click's own Option
}
"""Lines that may stay, by file."""


def retired_words(root: Path) -> Iterator[tuple[str, int, str]]:
    """File, line number and line of every retired word."""
    for path in sorted(root.rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if RETIRED.search(line.replace("ecommended", "").replace("rehended", "")):
                yield path.relative_to(root).as_posix(), number, line.strip()


def test_retired_words_do_not_come_back() -> None:
    found: dict[str, list[str]] = {}
    for name, number, line in retired_words(ROOT):
        found.setdefault(name, []).append(f"{number}: {line}")
    assert {name: lines for name, lines in found.items() if len(lines) > ALLOWED.get(name, 0)} == {}


def test_that_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text("class Entrant:\n    pass\n# all levers\nx = recommended\n")
    assert [number for _, number, _ in retired_words(tmp_path)] == [1, 3]
