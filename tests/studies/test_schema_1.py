"""Files that Calibrant wrote when it knew one task are read as what it would write now."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from calibrant.artifacts.runs_store.store import RunsStore
from calibrant.core.errors import DataError
from calibrant.studies.coverage.result import CoverageResult, read_coverage
from calibrant.studies.diagnosis.files import diagnosis_from_dict, diagnosis_to_dict, read_diagnosis
from calibrant.studies.optimization.result import OptimizationResult, read_optimization
from calibrant.studies.request import StudyRequest, read_request
from calibrant.studies.result import StudyResult
from calibrant.studies.runs import load_run
from calibrant.tasks.detection.differences import DetectionDifferences
from calibrant.tasks.registry import task_named

GOLDEN = Path(__file__).parents[1] / "golden" / "schema-1"
MAP = task_named("detection").metric


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / name).read_text())
    assert content["schema_version"] == 1
    return content


def test_a_study_has_the_same_figures_by_other_names() -> None:
    old, result = golden("study.json"), load_run(GOLDEN).result
    assert result.metric == MAP
    assert result.baseline.score.value == old["baseline"]["map50_95"]
    assert result.baseline.figures["map50"] == old["baseline"]["map50"]
    assert result.data.test_samples == old["data"]["test_images"]
    assert result.data.facts == {"boxes": old["data"]["test_boxes"], "classes": old["data"]["classes"]}
    assert [trial.calibrator for trial in result.trials] == [trial["calibrator"] for trial in old["trials"]]
    for trial, before in zip(result.trials, old["trials"], strict=True):
        assert trial.loss is not None
        assert trial.score is not None
        assert [trial.score.value, trial.loss.value] == [before["map50_95"], before["drop"]]
        assert [trial.loss.low, trial.loss.high] == before["drop_ci95"]
        assert (trial.samples, trial.figures["map_small"]) == (before["images"], before["map_small"])
    assert result.recommended is not None
    assert result.recommended.held_out_loss == old["recommended"]["held_out_drop"]
    assert result.settings["options"]["confidence"] == old["settings"]["confidence"]
    assert StudyResult.from_dict(result.to_dict(), result.out).to_dict() == result.to_dict()


def test_a_request_asks_for_the_same() -> None:
    request = read_request(GOLDEN)
    old = golden("request.json")["settings"]
    assert request.settings.options["iou"] == old["iou"]
    assert request.settings.input_shape is None
    assert StudyRequest.from_dict(request.to_dict()).to_dict() == request.to_dict()


def test_the_side_of_a_square_becomes_a_shape() -> None:
    content = golden("request.json")
    content["settings"]["imgsz"] = 320
    assert StudyRequest.from_dict(content).settings.input_shape == (320, 320)


def test_a_diagnosis_keeps_what_its_task_tells() -> None:
    found, old = read_diagnosis(GOLDEN), golden("diagnosis.json")
    assert found.metric == MAP
    assert isinstance(found.differences[0], DetectionDifferences)
    assert found.differences[0].images == old["detections"][0]["images"]
    assert found.swap is not None
    assert found.swap.gap.value == old["swap"]["gap"]["points"]
    assert found.swap.steps[0].value == old["swap"]["steps"][0]["map50_95"]
    again = diagnosis_to_dict(found)
    assert diagnosis_to_dict(diagnosis_from_dict(again)) == again


def test_coverage_and_optimization_are_read() -> None:
    covered, old = read_coverage(GOLDEN / "coverage.json"), golden("coverage.json")
    assert covered.float_value == old["float_map"]
    assert covered.learning is not None
    assert covered.learning.points[0].samples == old["learning"]["points"][0]["images"]
    assert CoverageResult.from_dict(covered.to_dict(), "x").to_dict() == covered.to_dict()
    optimized, old = read_optimization(GOLDEN / "optimization.json"), golden("optimization.json")
    assert optimized.chosen.report is not None
    assert optimized.chosen.report.loss.value == old["chosen"]["report"]["drop"]
    assert optimized.gain_over_single.value == old["gain_over_single"][0]
    assert optimized.max_loss == old["max_drop"]
    again = optimized.to_dict()
    assert OptimizationResult.from_dict(again, "x").to_dict() == again


def test_a_store_is_migrated_with_its_figures(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.executescript((GOLDEN / "store.sql").read_text())
        rows = connection.execute(
            'SELECT name, map50_95, map50, "drop", images FROM calibrant_trials'
        ).fetchall()
    connection.close()
    runs = RunsStore(make_url(f"sqlite+pysqlite:///{tmp_path / 'store.sqlite'}")).newest()
    found = [
        (trial.name, trial.value, trial.figures.get("map50"), trial.loss, trial.samples)
        for run in runs
        for trial in run.trials
    ]
    assert sorted(found) == sorted(rows)
    assert {(run.metric, run.direction, run.unit) for run in runs} == {("map50_95", "maximize", "points")}
    assert all(run.float_value is not None for run in runs)


@pytest.mark.parametrize("version", [3, True, None, "2"])
def test_other_versions_are_named_in_one_line(tmp_path: Path, version: Any) -> None:
    (tmp_path / "study.json").write_text(json.dumps({**golden("study.json"), "schema_version": version}))
    with pytest.raises(DataError, match=r"has schema version .*, not 1 or 2; run the study again"):
        load_run(tmp_path)


def test_names_that_a_coverage_of_schema_2_had_before_are_read() -> None:
    found = CoverageResult.from_dict(json.loads((GOLDEN / "coverage.json").read_text("utf-8")), "out")
    former = json.loads(json.dumps(found.to_dict()))
    assert "maps" not in json.dumps(former)
    former["learning"]["map_tolerance"] = former["learning"].pop("score_tolerance")
    for order in former["order"]:
        order["maps"] = order.pop("scores")
    assert CoverageResult.from_dict(former, "out") == CoverageResult.from_dict(found.to_dict(), "out")
