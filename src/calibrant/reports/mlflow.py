"""Logging a finished run to MLflow: its settings, a metric for every figure, and the files to look at."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress
from calibrant.core.urls import without_secrets
from calibrant.reports.material import REPORT
from calibrant.studies.recording import RESULT_FILES, records_of
from calibrant.studies.trial_evaluator import OK

EXPERIMENT = "calibrant"
# Unless the user's environment says otherwise: few retries, no reports of use to anybody, and no lines
# of MLflow's between ours.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


class MLflowLog:
    """An experiment on an MLflow server or in a store of its own (``sqlite:///FILE``).

    Its name is MLFLOW_EXPERIMENT_NAME, or "calibrant". Made before the work begins, so that what is wrong is
    found then. Raises SettingsError where MLflow is not installed, or cannot be used at ``uri``.
    """

    def __init__(self, uri: str) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise SettingsError("--mlflow needs MLflow; pip install 'calibrant[mlflow]'") from error
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._uri = uri
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        with self._told():
            self._client = MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(name)
            self._experiment = known.experiment_id if known else self._client.create_experiment(name)

    def log(self, run: RunRecord, folder: Path) -> str:
        """Log one run with the files of its folder, and give MLflow's id for it. Raises SettingsError."""
        from mlflow.entities import Metric, Param, RunTag

        moment = int(run.created.timestamp() * 1000)
        with self._told():
            made = self._client.create_run(
                self._experiment, start_time=moment, run_name=Path(run.folder).name
            )
            mlflow_id: str = made.info.run_id
            self._client.log_batch(
                mlflow_id,
                metrics=[Metric(name, value, moment, 0) for name, value in metrics_of(run).items()],
                params=[Param(name, value) for name, value in parameters_of(run).items()],
                tags=[RunTag(name, value) for name, value in _tags(run).items()],
            )
            for name in (RESULT_FILES[run.kind], REPORT):
                if (folder / name).is_file():
                    self._client.log_artifact(mlflow_id, str(folder / name))
            self._client.set_terminated(mlflow_id)
        return mlflow_id

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What MLflow says, in one line and without the password that a URI may hold."""
        try:
            yield
        except Exception as error:  # MLflow's own, and those of whatever it stands on
            words = " ".join(str(error).split()) or type(error).__name__
            shown = f"MLflow at {self._uri} cannot be used: {words}"
            raise SettingsError(without_secrets(shown, self._uri)) from error


def log_at(uri: str | None) -> MLflowLog | None:
    """The log that is wanted, if one is. Raises as MLflowLog."""
    return MLflowLog(uri) if uri is not None else None


def log_run(log: MLflowLog | None, folder: Path, progress: Progress) -> None:
    """Log what a finished run's folder holds, where it is wanted.

    Its results stand already: whatever goes wrong is a note.
    """
    if log is None:
        return
    try:
        for record in records_of(folder):
            log.log(record, folder)
    except Exception as error:
        progress.note(f"not logged: {' '.join(str(error).split()) or type(error).__name__}")


def parameters_of(run: RunRecord) -> dict[str, str]:
    """What decided the figures, as text by MLflow's names."""
    known: dict[str, Any] = {
        **run.settings,
        "model": run.model,
        "model_sha256": run.model_sha256,
        "family": run.family,
        "runtime_version": run.runtime_version,
        "device": run.device,
        "dataset": run.dataset,
        "test_samples": run.test_samples,
        "calibration_samples": run.calibration_samples,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def metrics_of(run: RunRecord) -> dict[str, float]:
    """Every figure that was measured, by MLflow's names: the model, a stroke, the figure.

    In the metric's unit, and milliseconds. What is recommended stands under its own name and under
    "recommended", so that runs can be sorted by it.
    """
    figures = {} if run.float_value is None else {f"fp32/{run.metric}": run.float_value}
    for trial in run.trials:
        figures |= _figures(_metric_name(trial.name), trial, run.metric)
    chosen = run.trial(run.recommended)
    return figures | (_figures("recommended", chosen, run.metric) if chosen else {})


def _figures(name: str, trial: TrialRecord, metric: str) -> dict[str, float]:
    """A stopped model saw few samples, so that only its loss means something."""
    found = {
        **({metric: trial.value, **trial.figures} if trial.status == OK else {}),
        "loss": trial.loss,
        "loss_low": trial.loss_low,
        "loss_high": trial.loss_high,
        "latency_ms": trial.median_ms,
    }
    return {f"{name}/{figure}": value for figure, value in found.items() if value is not None}


def _metric_name(name: str) -> str:
    """A model's name in the characters that MLflow takes."""
    return "".join(c if c.isalnum() or c in "._- " else "-" for c in name)


def _tags(run: RunRecord) -> dict[str, str]:
    return {
        "recommended": run.recommended or "",
        "calibrant.kind": run.kind,
        "calibrant.run": run.id,
        "calibrant.folder": f"{run.host}:{run.folder}",
    }
