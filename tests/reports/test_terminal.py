"""The ranking on the terminal: what it says, and that it fits."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from calibrant.core.metrics import Loss
from calibrant.core.types import Latency
from calibrant.reports.terminal import print_study
from calibrant.studies.result import (
    Baseline,
    DataSummary,
    ModelSummary,
    OtherFloat,
    Recommended,
    ScoreValue,
    StudyResult,
    Trial,
    TrialFiles,
)
from calibrant.tasks.registry import task_named

METRIC = task_named("detection").metric


def scored(value: float) -> dict[str, Any]:
    return {"score": ScoreValue("map50_95", value), "figures": {"map50": 40.0}}


RESULT = StudyResult(
    out="runs/one",
    created="",
    model=ModelSummary("[red]m[/red].onnx", "", "yolov5", "", 13, 60, ()),
    environment={},
    settings={"runtime": "onnxruntime"},
    data=DataSummary("", 200, {"boxes": 900, "classes": 80}, "", "", 128, "", 0),
    metric=METRIC,
    baseline=Baseline(**scored(30.0), seconds=1.0),
    trials=(
        Trial("mse", "", "failed", "it [b]broke[/b]"),
        Trial("percentile:99.999", "a", "ok", **scored(15.0), loss=Loss(15.0, -0.04, 100.0)),
        Trial("minmax", "b", "ok", **scored(29.0), loss=Loss(1.0, 0.5, 1.5)),
        Trial("entropy2", "b", "ok", **scored(29.0), loss=Loss(1.0, 0.5, 1.5), same_as="minmax"),
    ),
    recommended=Recommended("minmax", "it loses 1.0 points", ("entropy2",), -0.01),
    calibration_seconds=1.0,
)


def latency(low: float, median: float, high: float) -> Latency:
    return Latency(2 * median, 3 * median, 200, median, high, spread_ms=(low, high))


def timed(own: Latency | None, *others: OtherFloat) -> StudyResult:
    trials = [replace(trial, latency=own) if trial.score else trial for trial in RESULT.trials]
    return replace(RESULT, trials=tuple(trials), other_floats=others, environment={"device": "GPU"})


def printed(width: int, encoding: str = "utf-8", result: StudyResult = RESULT) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_study(result, Console(file=stream, width=width, highlight=False))
    stream.seek(0)
    return stream.read().splitlines()


def test_the_ranking_is_by_accuracy_with_failures_last() -> None:
    lines = printed(100)
    table = lines[next(index for index, line in enumerate(lines) if "mAP50-95" in line) :]
    names = [line[3:].split()[0] for line in table[:5]]
    assert names == ["calibrator", "FP32", "minmax", "percentile:99.999", "mse"]
    assert table[4].split() == ["mse", "failed"]


def test_a_row_holds_its_figures() -> None:
    row = next(line for line in printed(100) if "percentile" in line)
    assert row.split() == ["percentile:99.999", "15.0", "40.0", "15.0", "0.0", "to", "100.0", "█" * 10]


def test_exact_twins_are_one_row() -> None:
    assert any(line.startswith("*  minmax = entropy2") for line in printed(100))


def test_who_was_stopped_stands_behind_the_measured_and_shows_no_accuracy() -> None:
    stopped = Trial(
        "legacy",
        "c",
        "stopped",
        "significantly worse",
        **scored(45.0),
        loss=Loss(20.0, 16.0, 24.0),
        samples=25,
    )
    lines = printed(100, result=replace(RESULT, trials=(stopped, *RESULT.trials)))
    rows = [line.split() for line in lines if line.strip()]
    assert ["legacy", "worse", "20.0", "16.0", "to", "24.0", "after", "25", "images"] in rows
    names = [row[0] for row in rows]
    assert names.index("percentile:99.999") < names.index("legacy") < names.index("mse")
    assert not any("legacy failed" in line for line in lines)


def test_only_the_recommended_one_has_a_star() -> None:
    assert [line.split()[1] for line in printed(100) if line.startswith("*")] == ["minmax"]


def test_what_to_deploy_and_what_to_run_next_stand_in_the_verdict() -> None:
    files = TrialFiles("minmax.qdq.onnx", "minmax.cache")
    trials = tuple(replace(t, files=files) if t.calibrator == "minmax" else t for t in RESULT.trials)
    result = replace(RESULT, trials=trials, advice=("calibrant optimize runs/one: a model that loses less",))
    text = " ".join(" ".join(printed(200, result=result)).split())
    assert "Deploy runs/one/minmax.qdq.onnx (ONNX with Q/DQ)" in text
    assert "runs/one/minmax.cache (TensorRT calibration cache" in text
    assert "calibrant optimize runs/one: a model that loses less" in text


def test_nothing_to_recommend_says_why() -> None:
    result = replace(RESULT, recommended=None, unrecommended="mAP of the float model is undefined")
    assert "Nothing to recommend: mAP of the float model is undefined." in printed(200, result=result)
    assert not any(line.startswith("*") for line in printed(200, result=result))


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


HALF = OtherFloat("fp16", **scored(30.0), loss=Loss(0.0, -0.1, 0.1), latency=latency(0.5, 0.52, 0.54))


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (
            latency(0.3, 0.39, 0.4),
            "INT8 pays on GPU: 25 % less time (0.39 ms (0.30 to 0.40) for minmax, 0.52 ms (0.50 to 0.54) in "
            "FP16); they lose 1.0 and 0.0",
        ),
        (latency(0.48, 0.51, 0.53), "INT8 does not pay on GPU: minmax is no quicker than FP16 ("),
        (latency(0.6, 0.62, 0.63), "INT8 does not pay on GPU: minmax is slower than FP16 ("),
    ],
)
def test_int8_pays_where_it_is_quicker_than_fp16_beyond_what_both_vary(own: Latency, told: str) -> None:
    lines = printed(200, result=timed(own, HALF))
    (line,) = [line for line in lines if line.startswith("INT8 ")]
    assert line.startswith(told)
    assert line.endswith("; deploy FP16.") == ("does not" in told)
    assert any(line.split()[:4] == ["FP16", "30.0", "40.0", "0.0"] for line in lines)


def test_nothing_is_said_of_int8_where_floats_were_not_timed() -> None:
    failed = OtherFloat("fp16", reason="it built no engine")
    lines = printed(120, result=timed(latency(0.3, 0.4, 0.5), failed))
    assert not [line for line in lines if line.startswith("INT8 ")]
    assert "FP16 failed: it built no engine" in lines
    assert not [line for line in printed(120) if line.startswith("INT8 ")]


def test_a_prediction_of_implicit_int8_is_an_interval_up_to_fp32() -> None:
    settings = {"runtime": "onnxruntime", "scheme": "tensorrt-implicit"}
    predicted = replace(RESULT, settings=settings)
    lines = printed(200, result=predicted)
    (line,) = [line for line in lines if line.startswith("On TensorRT ")]
    assert "minmax lies between 29.0 mAP (INT8 wherever it can be) and FP32's 30.0 (" in line
    measured = replace(predicted, environment={"tensorrt": "8.5.1.7"})
    explicit = replace(RESULT, settings={**settings, "scheme": "tensorrt"})
    for other in (measured, explicit, replace(predicted, recommended=None)):
        assert not [line for line in printed(200, result=other) if line.startswith("On TensorRT ")]
