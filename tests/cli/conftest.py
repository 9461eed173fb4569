"""The command line called in this process, in a folder with a small detector and its data."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcomes import Outcome, Run
from toy_detector import detector, saved, write_coco, write_images

from calibrant.cli import main
from calibrant.reports.progress import Notes
from calibrant.tasks.detection.definition import Detection


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``m.onnx``, ``calib`` (4 images) and ``test`` (30 labelled ones)."""
    saved(detector(), tmp_path / "m.onnx")
    write_images(tmp_path / "calib", 4, seed=1)
    write_coco(tmp_path / "test", 30, seed=1000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def told_of_few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets here are small on purpose; tests/studies/test_remarks.py asks what is said of such."""
    monkeypatch.setattr(Detection, "few_labels", 0)


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a stage may take long enough to be told; tests/reports asks what is said then."""
    monkeypatch.setattr("calibrant.reports.progress.Lines", Notes)


@pytest.fixture
def run(work: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``calibrant`` with these arguments."""

    def called(*arguments: object) -> Outcome:
        capsys.readouterr()
        code: object = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = exit_.code
        printed = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, printed.out, printed.err)

    return called


@pytest.fixture
def study(run: Run) -> Run:
    """Run ``calibrant study`` on the folder's model and data; options given later win."""

    def called(*options: object, model: object = "m.onnx", calib: object = "calib", data: object = "test",
               calibrators: str = "minmax", out: object = "out") -> Outcome:  # fmt: skip
        required = ("--calib", calib, "--data", data, "--out", out, "--calibrators", calibrators)
        return run("study", model, *required, "--overwrite", *options)

    return called
