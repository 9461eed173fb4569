"""``--mlflow``: a study and an optimization in a real MLflow store; what is wrong is told before the work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run

URI = "sqlite:///mlflow.db"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what Calibrant would set for the whole process."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")


def logged() -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=URI)
    experiment = client.get_experiment_by_name("calibrant")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def artifacts(run: Any) -> set[str]:
    from mlflow import MlflowClient

    return {file.path for file in MlflowClient(tracking_uri=URI).list_artifacts(run.info.run_id)}


def test_runs_are_logged_with_settings_figures_and_files(study: Run, run: Run, work: Path) -> None:
    answer = study("--mlflow", URI, calibrators="minmax,percentile:50", out="studied")
    assert (answer.code, answer.err) == (0, "")
    (found,) = logged()
    content = json.loads((work / "studied" / "study.json").read_text())
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "studied"
    assert found.data.params["model"] == "m.onnx"
    assert found.data.params["scheme"] == "tensorrt"
    assert found.data.params["calibration_samples"] == "4"
    assert found.data.tags["recommended"] == "minmax"
    metrics = found.data.metrics
    assert metrics["fp32/map50_95"] == content["baseline"]["score"]["value"]
    for trial in content["trials"]:
        name = trial["calibrator"].replace(":", "-")
        assert metrics[f"{name}/loss"] == trial["loss"]["value"]
        assert [metrics[f"{name}/loss_{end}"] for end in ("low", "high")] == [
            trial["loss"][end] for end in ("low", "high")
        ]
    assert metrics["recommended/map50_95"] == content["trials"][0]["score"]["value"]
    assert artifacts(found) == {"study.json", "report.html"}

    assert run("optimize", "studied", "--budget", "4s", "--out", "best", "--mlflow", URI).code == 0
    newest = next(found for found in logged() if found.info.run_name == "best")
    assert newest.data.tags["calibrant.kind"] == "optimization"
    assert artifacts(newest) == {"optimization.json"}


def test_what_is_wrong_is_told_before_the_work(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = study("--mlflow", "http://me:s3cret@127.0.0.1:1").error
    assert error.startswith("MLflow at http://me:***@127.0.0.1:1 cannot be used: ")
    assert "s3cret" not in error
    assert "cannot be used" in study("--mlflow", "gopher://x").error
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert study("--mlflow", URI).error == "--mlflow needs MLflow; pip install 'calibrant[mlflow]'"
    assert not (work / "out").exists()


def test_a_server_that_is_gone_at_the_end_costs_a_note(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calibrant.reports.mlflow import MLflowLog

    def fail(*_: object) -> None:
        raise ConnectionError("it is gone")

    monkeypatch.setattr(MLflowLog, "__init__", lambda *_: None)
    monkeypatch.setattr(MLflowLog, "log", fail)
    answer = study("--mlflow", URI)
    assert (answer.code, answer.err) == (0, "note: not logged: it is gone\n")
    assert (work / "out" / "study.json").is_file()
