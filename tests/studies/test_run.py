"""A whole study on a toy task: what is measured once, what fails alone, what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from toy import ToySample, ToyTask, toy_model, toy_samples

from calibrant.calibrators import NamedCalibrator, calibrators_named
from calibrant.core.errors import NumericsError
from calibrant.core.progress import Silent
from calibrant.core.schemes import TENSORRT
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import QuantSpec, Range
from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.points import pooling_ties, quant_points
from calibrant.runtimes import runtime_named
from calibrant.studies.candidates import QuantPlan
from calibrant.studies.plan import StudySettings, TrialContext
from calibrant.studies.result import DataSummary, ModelSummary, StudyResult
from calibrant.studies.run import Study, run_study


def broken(stats: TensorStatistics, spec: QuantSpec) -> Range:
    raise ZeroDivisionError("my own bug")


def toy_study(
    folder: Path, calibrators: Sequence[NamedCalibrator], calibration: Sequence[ToySample]
) -> Study:
    kernel = toy_model(folder / "toy.onnx")
    model = load_model(folder / "toy.onnx")
    settings, runtime = StudySettings(), runtime_named("onnxruntime")
    return Study(
        plan=QuantPlan(model, TENSORRT, quant_points(model, TENSORRT), pooling_ties(model)),
        float_model=model.path,
        task=ToyTask(kernel),
        collector=runtime,
        runtime=runtime,
        calibration=calibration,
        test=toy_samples(40, seed=1),
        calibrators=calibrators,
        settings=settings,
        context=TrialContext("toy", model.sha256, {}, settings, "ids", "truth", runtime.version),
        model=ModelSummary("toy.onnx", model.sha256, "toy", "told so", 13, 1, ()),
        data=DataSummary("toys", 40, {}, "ids", "toys", len(calibration), "ids", 0),
    )


def studied(folder: Path, names: str, *own: NamedCalibrator, outlier: float = 30.0) -> StudyResult:
    study = toy_study(folder, (*calibrators_named(names), *own), toy_samples(20, seed=2, outlier=outlier))
    return run_study(study, folder / "out", Silent())


def test_an_outlier_costs_minmax_and_the_study_says_so(tmp_path: Path) -> None:
    result = studied(tmp_path, "minmax,percentile:99.9")
    minmax, percentile = result.trial("minmax"), result.trial("percentile:99.9")
    assert minmax.loss is not None
    assert percentile.loss is not None
    assert minmax.loss.value > 3 * percentile.loss.value > 0
    assert minmax.loss.low > percentile.loss.high
    assert result.recommended is not None
    assert result.recommended.calibrator == "percentile:99.9"
    assert [trial.calibrator for trial in result.ranking] == ["percentile:99.9", "minmax"]


def test_equal_encodings_are_measured_once_and_named(tmp_path: Path) -> None:
    result = studied(tmp_path, "minmax,entropy2,entropy")
    assert result.trial("entropy").same_as == "entropy2"
    assert result.trial("entropy").score == result.trial("entropy2").score
    assert result.trial("entropy").key == result.trial("entropy2").key != result.trial("minmax").key


def test_a_failing_calibrator_is_one_failed_trial(tmp_path: Path) -> None:
    result = studied(tmp_path, "minmax", NamedCalibrator("mine", broken))
    failed = result.trial("mine")
    assert failed.status == "failed"
    assert failed.reason is not None
    assert "my own bug" in failed.reason
    assert result.trial("minmax").status == "ok"
    assert result.ranking[-1] is failed


def test_when_everything_fails_nothing_is_recommended(tmp_path: Path) -> None:
    study = toy_study(tmp_path, [NamedCalibrator("mine", broken)], toy_samples(2, seed=2))
    result = run_study(study, tmp_path / "out", Silent())
    assert result.recommended is None
    assert result.baseline.score.value == pytest.approx(100, abs=0.01)


def test_study_json_is_the_result(tmp_path: Path) -> None:
    result = studied(tmp_path, "minmax,mse")
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    assert StudyResult.from_dict(content, result.out).to_dict() == result.to_dict()
    assert content == json.loads(json.dumps(result.to_dict()))
    assert content["schema_version"] == 2
    for trial in content["trials"]:
        lost = trial["loss"]
        scores = [entry["score"]["value"] for entry in (content["baseline"], trial)]
        assert lost["value"] == pytest.approx(scores[0] - scores[1], abs=1e-3)
        assert lost["low"] <= lost["value"] <= lost["high"]
        for name in trial["files"].values():
            assert (tmp_path / "out" / name).stat().st_size > 0


def test_the_same_study_gives_the_same_result(tmp_path: Path) -> None:
    results = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        results.append(studied(tmp_path / name, "minmax,mse").to_dict())
    for result in results:
        for trial in result["trials"]:
            del trial["seconds"], trial["latency"]
    assert results[0]["trials"] == results[1]["trials"]
    assert results[0]["recommended"] == results[1]["recommended"]


def test_nan_activations_name_tensor_and_sample(tmp_path: Path) -> None:
    samples = toy_samples(3, seed=2)
    samples[1].values[0, 0, 0, 0] = float("nan")
    with pytest.raises(NumericsError, match="tensor 'x' for sample '2-1': 1 of 192 values"):
        run_study(toy_study(tmp_path, calibrators_named("minmax"), samples), tmp_path / "out", Silent())
