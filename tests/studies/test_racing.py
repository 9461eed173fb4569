"""Racing and what is kept between runs, in whole studies of a toy task."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_run import toy_study
from toy import ToySample, ToyTask, toy_model, toy_samples

from calibrant.artifacts.cache import Cache
from calibrant.calibrators import NamedCalibrator, calibrators_named
from calibrant.core.errors import RuntimeFailedError
from calibrant.core.metrics import Evidence, Score
from calibrant.core.progress import Silent
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Observer, QuantSpec, Range, Runtime, Session
from calibrant.runtimes import runtime_named
from calibrant.studies.result import StudyResult
from calibrant.studies.run import Study, run_study

TEST_SAMPLES = 40


def tenth(stats: TensorStatistics, spec: QuantSpec) -> Range:
    return Range(-stats.amax / 10, stats.amax / 10)


def fiftieth(stats: TensorStatistics, spec: QuantSpec) -> Range:
    return Range(-stats.amax / 50, stats.amax / 50)


@dataclass
class Counting:
    """ONNX Runtime, with a count of what it opens; ``refuses`` names models that it does not."""

    refuses: Callable[[Path], bool] = lambda _: False
    inner: Runtime = field(default_factory=lambda: runtime_named("onnxruntime"))
    opened: list[str] = field(default_factory=list)

    name = "onnxruntime"

    @property
    def version(self) -> str:
        return self.inner.version

    def open(self, model: Path) -> Session:
        if self.refuses(model):
            raise RuntimeFailedError(f"cannot open {model.name}")
        self.opened.append(model.name)
        return self.inner.open(model)

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> Session:
        self.opened.append("statistics")
        return self.inner.record(model, tensors, observe)


def prepared(folder: Path, runtime: Counting, race_error: float | None = 0.01) -> Study:
    own = (NamedCalibrator("tenth", tenth), NamedCalibrator("fiftieth", fiftieth))
    study = toy_study(folder, (*calibrators_named("minmax,entropy2,entropy"), *own), toy_samples(6, seed=2))
    settings = replace(study.settings, race_error=race_error)
    return replace(
        study,
        runtime=runtime,
        collector=runtime,
        settings=settings,
        context=replace(study.context, settings=settings, test_sha256="known"),
        calibration_sha256="known",
    )


def told(result: StudyResult) -> dict[str, Any]:
    """All of a result but what depends on the clock and the folder."""
    content = json.loads(json.dumps(result.to_dict()))
    for entry in (content["baseline"], *content["trials"]):
        del entry["seconds"], entry["latency"]
    del content["created"], content["calibration_seconds"]
    return dict(content)


def test_who_is_beaten_beyond_doubt_is_stopped_and_says_why(tmp_path: Path) -> None:
    result = run_study(prepared(tmp_path, Counting()), tmp_path / "out", Silent())
    stopped, finished = result.trial("fiftieth"), result.trial("minmax")
    assert (stopped.status, stopped.samples) == ("stopped", 25)
    assert (finished.status, finished.samples) == ("ok", TEST_SAMPLES)
    assert stopped.reason is not None
    assert stopped.reason.startswith("significantly worse after 25 samples: ")
    assert stopped.loss is not None
    assert 0 < stopped.loss.low < stopped.loss.value < stopped.loss.high
    assert stopped.files is not None
    assert (tmp_path / "out" / stopped.files.qdq).exists()
    assert result.ranking[-1].status == "stopped"
    assert (stopped.latency is None, finished.latency is None) == (True, False)
    assert result.recommended is not None
    assert "fiftieth" not in (result.recommended.calibrator, *result.recommended.tied)


class WeighingToy(ToyTask):
    """A toy task that gives evidence alone, and remembers how many samples each of its scores was of."""

    def __init__(self, kernel: NDArray[np.float32]) -> None:
        super().__init__(kernel)
        self.scored: list[int] = []

    def score(self, samples: Sequence[ToySample], predictions: Sequence[Any]) -> Score:
        self.scored.append(len(samples))
        return super().score(samples, predictions)

    def evidence(self, samples: Sequence[ToySample], predictions: Sequence[Any]) -> Evidence:
        return super().score(samples, predictions).evidence


def test_nothing_is_scored_twice(tmp_path: Path) -> None:
    """On the first samples each distinct candidate, and the float model as one was stopped there."""
    study = prepared(tmp_path, Counting())
    task = WeighingToy(toy_model(tmp_path / "same.onnx"))
    result = run_study(replace(study, task=task), tmp_path / "out", Silent())
    assert told(result) == told(run_study(study, tmp_path / "again", Silent()))
    distinct = {trial.key: trial for trial in result.trials}.values()
    finished = [trial for trial in distinct if trial.status == "ok"]
    assert "stopped" in {trial.status for trial in distinct}
    assert task.scored.count(25) == len(distinct) + 1
    assert task.scored.count(TEST_SAMPLES) == len(finished) + 1
    assert set(task.scored) == {25, TEST_SAMPLES}


def test_without_racing_all_run_to_the_end_and_the_same_is_recommended(tmp_path: Path) -> None:
    raced = run_study(prepared(tmp_path, Counting()), tmp_path / "a", Silent())
    whole = run_study(prepared(tmp_path, Counting(), race_error=None), tmp_path / "b", Silent())
    assert {trial.status for trial in whole.trials} == {"ok"}
    assert whole.recommended is not None
    assert raced.recommended is not None
    assert whole.recommended.calibrator == raced.recommended.calibrator
    for trial in raced.trials:
        if trial.status == "ok":
            same = whole.trial(trial.calibrator)
            assert (same.score, same.loss, same.key) == (trial.score, trial.loss, trial.key)


def test_a_candidate_that_cannot_be_opened_is_a_failed_trial(tmp_path: Path) -> None:
    runtime = Counting(refuses=lambda model: model.name.startswith("tenth"))
    result = run_study(prepared(tmp_path, runtime), tmp_path / "out", Silent())
    assert (result.trial("tenth").status, result.trial("tenth").reason) == (
        "failed",
        "cannot open tenth.qdq.onnx",
    )
    assert result.trial("minmax").status == "ok"


@pytest.mark.parametrize("race_error", [0.01, None])
def test_a_second_run_opens_nothing_and_finds_the_same(tmp_path: Path, race_error: float | None) -> None:
    cache, bare, again = Cache(tmp_path / "cache"), Counting(), Counting()
    without = run_study(prepared(tmp_path, bare, race_error), tmp_path / "a", Silent())
    first = run_study(prepared(tmp_path, Counting(), race_error), tmp_path / "b", Silent(), cache)
    second = run_study(prepared(tmp_path, again, race_error), tmp_path / "c", Silent(), cache)
    assert told(without) == told(first) == told(second)
    assert again.opened == []
    assert "statistics" in bare.opened
    for name in ("statistics.npz", "minmax.qdq.onnx", "minmax.encodings.json"):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_the_seed_does_not_decide_predictions(tmp_path: Path) -> None:
    cache, again = Cache(tmp_path / "cache"), Counting()
    run_study(prepared(tmp_path, Counting(), None), tmp_path / "a", Silent(), cache)
    study = prepared(tmp_path, again)
    settings = replace(study.settings, seed=7)
    other = replace(study, settings=settings, context=replace(study.context, settings=settings))
    run_study(other, tmp_path / "b", Silent(), cache)
    assert again.opened == []


@pytest.mark.parametrize("field_", ["test_sha256", "truth_sha256", "model_sha256", "runtime_version"])
def test_whatever_decides_predictions_is_in_their_key(tmp_path: Path, field_: str) -> None:
    cache, again = Cache(tmp_path / "cache"), Counting()
    run_study(prepared(tmp_path, Counting()), tmp_path / "a", Silent(), cache)
    study = prepared(tmp_path, again)
    changed: dict[str, Any] = {field_: "other"}
    other = replace(study, context=replace(study.context, **changed))
    run_study(other, tmp_path / "b", Silent(), cache)
    assert "toy.onnx" in again.opened


def test_samples_of_unknown_content_are_not_kept(tmp_path: Path) -> None:
    study = prepared(tmp_path, Counting())
    unknown = replace(study, context=replace(study.context, test_sha256=""), calibration_sha256="")
    run_study(unknown, tmp_path / "out", Silent(), Cache(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_what_is_damaged_is_computed_again(tmp_path: Path) -> None:
    cache, again = Cache(tmp_path / "cache"), Counting()
    first = run_study(prepared(tmp_path, Counting()), tmp_path / "a", Silent(), cache)
    for entry in (tmp_path / "cache").rglob("*"):
        if entry.is_file():
            entry.write_bytes(entry.read_bytes()[:-9])
    second = run_study(prepared(tmp_path, again), tmp_path / "b", Silent(), cache)
    assert told(first) == told(second)
    assert "statistics" in again.opened


@pytest.mark.parametrize("race_error", [0.01, None])
def test_a_study_that_was_cut_off_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race_error: float | None
) -> None:
    cache, again = Cache(tmp_path / "cache"), Counting()
    whole = run_study(prepared(tmp_path, Counting(), race_error), tmp_path / "a", Silent())
    study, drive, runs = prepared(tmp_path, Counting(), race_error), ToyTask.drive, iter(range(120))

    def cut_off(task: ToyTask, sessions: Any, samples: Any) -> Any:
        if next(runs, None) is None:
            raise KeyboardInterrupt
        return drive(task, sessions, samples)

    monkeypatch.setattr(ToyTask, "drive", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "b", Silent(), cache)
    monkeypatch.setattr(ToyTask, "drive", drive)
    resumed = run_study(prepared(tmp_path, again, race_error), tmp_path / "b", Silent(), cache)
    assert told(resumed) == told(whole)
    assert "statistics" not in again.opened
    assert "toy.onnx" not in again.opened
    assert again.opened
