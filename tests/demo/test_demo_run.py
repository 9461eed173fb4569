"""The demo's whole way, on a few images."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant import api
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Silent
from calibrant.demo import model
from calibrant.demo.run import run_demo
from calibrant.studies.result import StudyResult


class _Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_a_small_demo_ranks_calibrators_that_differ(tmp_path: Path) -> None:
    notes = _Notes()
    result = run_demo(
        tmp_path / "run",
        test_samples=10,
        calibration_samples=4,
        calibrators="minmax,percentile:99.9",
        progress=notes,
    )
    assert any("synthetic" in text for text in notes.texts)
    assert result.model.family == "yolox"
    assert result.data.samples_in_both == 0
    assert 20 < (result.baseline.score.value or 0) < 80
    drops = {trial.calibrator: trial.loss.value for trial in result.trials if trial.loss}
    assert drops["percentile:99.9"] > drops["minmax"] + 2
    assert result.recommended is not None
    assert result.recommended.calibrator == "minmax"
    assert (tmp_path / "run" / "study.json").is_file()


def test_a_demo_that_is_cut_off_leaves_the_one_it_would_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    run_demo(out, test_samples=4, calibration_samples=2, calibrators="minmax")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def again() -> StudyResult:
        return run_demo(
            out, test_samples=3, calibration_samples=2, calibrators="minmax", seed=1, overwrite=True
        )

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(api, "study", cut_off)
        with pytest.raises(KeyboardInterrupt):
            again()
    assert {path: path.read_bytes() for path in before} == before
    assert again().data.test_samples == 3


def test_a_small_demo_of_text_ranks_calibrators_that_differ(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the recognizer: pip install calibrant[demo-text]")
    notes = _Notes()
    result = run_demo(
        tmp_path / "run",
        "text",
        test_samples=12,
        calibration_samples=4,
        calibrators="minmax,percentile:99.9",
        progress=notes,
    )
    assert any("synthetic lines" in text for text in notes.texts)
    assert result.task == "recognition"
    assert result.data.samples_in_both == 0
    assert (result.baseline.score.value or 100) < 10  # the drawing can be read
    losses = {trial.calibrator: trial.loss.value for trial in result.trials if trial.loss}
    assert losses["percentile:99.9"] > losses["minmax"] + 2
    assert result.recommended is not None
    assert result.recommended.calibrator == "minmax"


def test_a_demo_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="known: detection, "):
        run_demo(tmp_path / "run", "music")


def test_without_the_detector_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="pip install"):
        run_demo(tmp_path / "run")
    assert not (tmp_path / "run").exists()
