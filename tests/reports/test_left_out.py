"""What the budget did not reach is told once, whatever it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from made_run import made_run

from calibrant.studies.diagnosis.files import read_diagnosis


def test_parts_without_time_are_one_line(tmp_path: Path) -> None:
    found = replace(
        read_diagnosis(made_run(tmp_path / "run")),
        left_out=("the swap test: no time left", "layers: refused", "all but one layer: no time left"),
    )
    assert found.left_out_in_words == (
        "layers: refused",
        "no time was left for the swap test; all but one layer",
    )
