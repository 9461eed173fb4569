"""The list of runs on narrow and wide consoles, and in a pipe."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord
from calibrant.reports.runs import print_runs
from calibrant.studies.run_folders import RecordedRun


def printed(width: int, *runs: RecordedRun) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_runs(runs, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    monkeypatch.chdir(tmp_path)
    trial = TrialRecord(
        "percentile:99.999", "ok", "k", value=29.5, loss=0.9, loss_low=-0.1, loss_high=1.6, samples=300
    )
    return RunRecord(
        id="0123456789" * 6, kind="study", task="detection", created=datetime(2026, 11, 23, tzinfo=UTC),
        model="yolov5n_640.onnx", model_path="/models/yolov5n_640.onnx", model_sha256="ab" * 32,
        family="yolov5", scheme="tensorrt", runtime="tensorrt:int8=calibrate", runtime_version="8.5.1.7",
        device="NVIDIA H200", dataset="/data/val.json", test_ids_sha256="cd" * 32, test_samples=300,
        calibration_samples=128, metric="map50_95", direction="maximize", unit="points", decimals=1,
        float_value=30.4, recommended=trial.name, host="here",
        folder=str(tmp_path / "runs" / "a-model-20261123"), settings={}, environment={}, trials=(trial,),
    )  # fmt: skip


def test_at_80_columns_nothing_is_cut(run: RunRecord) -> None:
    lines = printed(80, RecordedRun(run, "here"))
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert run.id[:8] in lines[0]
    assert str(run.recommended) in lines[1]
    assert lines[1].endswith("runs/a-model-20261123"), "from here, as it lies below"


def test_in_a_pipe_a_run_is_a_line_with_its_folder(run: RunRecord) -> None:
    lines = printed(1000, RecordedRun(run, "here"), RecordedRun(run, "gone"))
    assert len(lines) == 3
    assert lines[1].rstrip().endswith("runs/a-model-20261123")
    assert lines[2].rstrip().endswith("runs/a-model-20261123 (gone)")
