"""The summary for a pull request."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from made_run import made_run
from test_report_page import EVIL

from calibrant.reports.markdown import coded, markdown_summary, plain
from calibrant.reports.material import load_material


def summary_of(folder: Path) -> str:
    return markdown_summary(load_material(folder))


def test_it_holds_verdict_ranking_cause_and_command(tmp_path: Path) -> None:
    lines = summary_of(made_run(tmp_path)).splitlines()
    assert lines[0] == r"### detector.onnx: Use minmax"
    assert "| → | **minmax** | 29.5 | 47.1 | 0.9 | 0.1 to 1.8 |" in lines
    assert "|  | entropy2 | 19.7 | 37.3 | 10.7 | 9.9 to 11.6 |" in lines
    assert any(line.startswith("- **/model.3/conv/Conv") and "(5.2 points)" in line for line in lines)
    assert any(line.startswith("calibrant study ") for line in lines)


def test_without_a_diagnosis_it_has_no_causes(tmp_path: Path) -> None:
    assert "\n- " not in summary_of(made_run(tmp_path, diagnosed=False))


def test_names_from_files_format_nothing(tmp_path: Path) -> None:
    text = summary_of(made_run(tmp_path, EVIL))
    outside, *_ = text.split("<details>")
    assert "<script" not in outside.replace(r"\<script", "")


@given(st.text(alphabet="ab |`*_[]<>@\\\n", max_size=30))
def test_plain_text_keeps_its_letters_on_one_line(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    assert shown.replace("\\", "").split() == text.replace("\\", "").split()


def test_code_stays_code_and_a_lone_backtick_is_none() -> None:
    assert coded("see `a_b` and c_d") == r"see `a_b` and c\_d"
    assert coded("a ` b_c") == r"a \` b\_c"
