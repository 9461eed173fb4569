"""The ranking on the terminal: what it says, and that it fits."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from calibrant.reports.terminal import print_study
from calibrant.stages.recommend import Drop
from calibrant.studies.result import (
    Accuracy,
    Baseline,
    DataSummary,
    ModelSummary,
    Recommended,
    StudyResult,
    Trial,
)


def accuracy(map50_95: float) -> Accuracy:
    return Accuracy(map50_95, 40.0, None, None, None)


RESULT = StudyResult(
    out="runs/one",
    created="",
    model=ModelSummary("[red]m[/red].onnx", "", "yolov5", "", 13, 60, ()),
    environment={},
    settings={"runtime": "onnxruntime"},
    data=DataSummary("", 200, 900, 80, "", "", 128, "", 0),
    baseline=Baseline(accuracy(30.0), 1.0),
    trials=(
        Trial("mse", "", "failed", "it [b]broke[/b]"),
        Trial("percentile:99.999", "a", "ok", None, accuracy(15.0), Drop(15.0, -0.04, 100.0)),
        Trial("minmax", "b", "ok", None, accuracy(29.0), Drop(1.0, 0.5, 1.5)),
        Trial("entropy2", "b", "ok", None, accuracy(29.0), Drop(1.0, 0.5, 1.5), same_as="minmax"),
    ),
    recommended=Recommended("minmax", "it loses 1.0 points", ("entropy2",), -0.01),
    calibration_seconds=1.0,
)


def printed(width: int, encoding: str = "utf-8", result: StudyResult = RESULT) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_study(result, Console(file=stream, width=width, highlight=False))
    stream.seek(0)
    return stream.read().splitlines()


def test_the_ranking_is_by_accuracy_with_failures_last() -> None:
    lines = printed(100)
    table = lines[next(index for index, line in enumerate(lines) if "mAP50-95" in line) :]
    names = [line[3:].split()[0] for line in table[:6]]
    assert names == ["calibrator", "FP32", "minmax", "entropy2", "percentile:99.999", "mse"]
    assert table[5].split() == ["mse", "failed"]


def test_a_row_holds_its_figures() -> None:
    row = next(line for line in printed(100) if "percentile" in line)
    assert row.split() == ["percentile:99.999", "15.0", "40.0", "15.0", "0.0", "to", "100.0", "█" * 10]
    assert next(line for line in printed(100) if "entropy2" in line).rstrip().endswith("same as minmax")


def test_who_was_stopped_stands_behind_the_measured_and_shows_no_accuracy() -> None:
    stopped = Trial(
        "legacy", "c", "stopped", "beaten beyond doubt", accuracy(45.0), Drop(20.0, 16.0, 24.0), images=25
    )
    lines = printed(100, result=replace(RESULT, trials=(stopped, *RESULT.trials)))
    rows = [line.split() for line in lines if line.strip()]
    assert ["legacy", "beaten", "20.0", "16.0", "to", "24.0", "after", "25", "images"] in rows
    names = [row[0] for row in rows]
    assert names.index("percentile:99.999") < names.index("legacy") < names.index("mse")
    assert not any("legacy failed" in line for line in lines)


def test_only_the_recommended_one_has_a_star() -> None:
    assert [line.split()[1] for line in printed(100) if line.startswith("*")] == ["minmax"]


def test_names_from_files_are_no_markup() -> None:
    text = "\n".join(printed(100))
    assert "[red]m[/red].onnx" in text
    assert "it [b]broke[/b]" in text


@pytest.mark.parametrize("width", [62, 72, 80, 200])
def test_figures_are_whole_in_terminals_of_any_width(width: int) -> None:
    lines = printed(width)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert next(line for line in lines if "percentile" in line).split()[:5] == [
        *("percentile:99.999", "15.0", "40.0", "15.0", "0.0")
    ]


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    assert "##########" in "\n".join(printed(100, "ascii"))
