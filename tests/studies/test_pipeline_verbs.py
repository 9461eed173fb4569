"""What works of models of several files as of one: inspect, calibrate, coverage, diagnose, compare, sweep"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from toy_pipeline import NAME, known_to_the_registry, toy_folder

import calibrant
from calibrant import api
from calibrant.cli import main
from calibrant.core.errors import SettingsError
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.studies.inspection import PartsInspection
from calibrant.studies.pipelines.coverage import PartsCoverage
from calibrant.studies.pipelines.verdict import ALL_PARTS
from calibrant.studies.verdict import BASELINE


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with known_to_the_registry():
        yield


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("models") / "two", ["encoder", "decoder"])


@pytest.fixture(scope="module")
def run(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study."""
    out = tmp_path_factory.mktemp("runs") / "run"
    calibrant.study(two, "6", "30", out=out, diagnose_budget=0, calibrators="minmax,entropy2")
    return out


def test_inspect_tells_of_the_whole_and_of_each_part(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrant.inspect(two)
    assert isinstance(found, PartsInspection)
    assert (found.task, found.layout) == (NAME, "sherpa-onnx")
    assert [part.model for part in found.parts.values()] == [str(two / f"{p}.onnx") for p in found.parts]
    alone = calibrant.inspect(two / "decoder.onnx")
    assert not isinstance(alone, PartsInspection)
    assert found.parts["decoder"].quantized == alone.quantized
    main(["inspect", str(two)])
    shown = capsys.readouterr().out
    assert shown.index("part encoder") < shown.index("part decoder")
    assert shown.count("int8    scheme tensorrt") == 2


def test_inspect_of_a_folder_with_one_model_is_of_that_model(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "one", ["encoder"])
    found = calibrant.inspect(folder)
    assert not isinstance(found, PartsInspection)
    assert found.model == str(folder / "encoder.onnx")


def test_calibrate_writes_every_parts_candidates(two: Path, run: Path, tmp_path: Path) -> None:
    found = calibrant.calibrate(two, "6", tmp_path / "out", calibrators="minmax,entropy2")
    named = [candidate.calibrator for candidate in found.candidates]
    assert named == ["encoder/minmax", "encoder/entropy2", "decoder/minmax", "decoder/entropy2"]
    for candidate in found.candidates:
        # The same statistics as of a study, where all parts are seen in one run.
        made = (run / f"{candidate.calibrator}.qdq.onnx").read_bytes()
        assert Path(candidate.qdq or "").read_bytes() == made


def test_coverage_looks_at_every_part(two: Path, tmp_path: Path) -> None:
    found = api.coverage(two, "12", data="30", out=tmp_path / "out", calibrators="minmax", budget=2)
    assert isinstance(found, PartsCoverage)
    assert list(found.parts) == ["encoder", "decoder"]
    for part, result in found.parts.items():
        kept = json.loads((tmp_path / "out" / part / "coverage.json").read_text())
        assert kept["model"]["path"] == result.model.path == str(two / f"{part}.onnx")
    # What the decoder is fed with is what the float encoder gives, not a sample.
    ranges = [found.parts[part].representation.tensors[0] for part in found.parts]  # type: ignore[union-attr]
    assert ranges[0].high != ranges[1].high
    plan = api.plan_coverage(two, "12", data="30", out=tmp_path / "plan", budget=2)
    assert [step.split(":")[0] for step in plan.steps] == [str(tmp_path / "plan" / p) for p in found.parts]


def test_diagnose_explains_the_part_that_costs_most(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads((run / "study.json").read_text())
    costs = {part["name"]: (part["saved"] or part["loss"])["value"] for part in told["parts"]}
    worst = max(costs, key=lambda name: costs[name])
    main(["diagnose", str(run), "--budget", "10"])
    assert f"All of it: {run / worst / 'diagnosis.json'}" in " ".join(capsys.readouterr().out.split())
    assert json.loads((run / worst / "diagnosis.json").read_text())["model"].endswith(f"{worst}.onnx")


def test_diagnose_explains_the_candidate_that_is_named(run: Path) -> None:
    for part in ("encoder", "decoder"):
        found = calibrant.diagnose(run, losing=f"{part}/entropy2", winning=f"{part}/minmax", budget=10)
        assert (found.losing, found.winning) == ("entropy2", "minmax")
        assert Path(found.model).name == f"{part}.onnx"
    with pytest.raises(SettingsError, match="of different parts"):
        calibrant.diagnose(run, losing="encoder/entropy2", winning="decoder/minmax")


def test_compare_tells_wholes_and_parts_apart(two: Path, run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    calibrant.study(
        two, "6", "30", out=other, diagnose_budget=0, calibrators="minmax,entropy2", scheme="onnxruntime"
    )
    found = calibrant.compare([run, other])
    names = {change.name for change in found.changes}
    assert {BASELINE, ALL_PARTS, "encoder/minmax", "decoder/entropy2"} <= names
    same = calibrant.compare([run, run])
    assert all(change.loss == 0 and not change.is_real for change in same.changes)
    assert {moved.name for moved in same.scales} >= {"encoder/minmax", "decoder/minmax"}


def test_compare_refuses_wholes_of_other_parts(run: Path, tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "swapped", ["decoder", "encoder"])
    calibrant.study(folder, "6", "30", out=tmp_path / "other", diagnose_budget=0, calibrators="minmax")
    with pytest.raises(calibrant.CalibrantError, match="differ in model"):
        calibrant.compare([run, tmp_path / "other"])


def test_a_sweep_studies_wholes(two: Path, tmp_path: Path) -> None:
    for name in ("6", "30"):  # the toys' data is their number; a sweep wants to find files
        (tmp_path / name).touch()
    (tmp_path / "sweep.yaml").write_text(
        f"models: [{{path: '{two}', name: toys}}]\n"
        "datasets: [{name: few, calib: '6', data: '30'}]\n"
        "calibrators: [minmax]\nschemes: [tensorrt, onnxruntime]\n"
    )
    out = tmp_path / "out"
    rows = {row.run: row for row in api.sweep(tmp_path / "sweep.yaml", out=out).rows}
    assert {row.status for row in rows.values()} == {"ok"}
    assert {row.recommended for row in rows.values()} == {ALL_PARTS}


def test_what_is_kept_is_not_measured_again(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics and predictions of parts and of the whole come from the user's cache folder."""
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "cache"))
    calibrant.study(two, "6", "30", out=tmp_path / "run", diagnose_budget=0, calibrators="minmax,entropy2")

    def refused(*_: Any) -> Any:
        raise AssertionError("collected again")

    opened, quantized = OnnxRuntime.open, list[str]()

    def counted(self: OnnxRuntime, model: Path) -> Any:
        quantized.extend([model.name] if ".qdq." in model.name else [])
        return opened(self, model)

    monkeypatch.setattr("calibrant.studies.pipelines.run.collect_parts", refused)
    monkeypatch.setattr(OnnxRuntime, "open", counted)
    out = tmp_path / "again"
    again = calibrant.study(two, "6", "30", out=out, diagnose_budget=0, calibrators="minmax,entropy2")
    assert {trial.status for trial in again.trials} == {"ok"}
    assert quantized == []


def test_deploy_hands_over_every_part(run: Path, two: Path, tmp_path: Path) -> None:
    done = api.deploy(run, "onnxruntime", out=tmp_path / "out")
    assert done.files == ("encoder/encoder.onnx", "decoder/decoder.onnx")
    for part in ("encoder", "decoder"):
        handed = tmp_path / "out" / part / f"{part}.onnx"
        assert handed.read_bytes() == (run / "deploy" / f"{part}.onnx").read_bytes()
        onnx.checker.check_model(onnx.load(handed))
    engines = api.deploy(run, "engine", out=tmp_path / "engines")
    assert len(engines.commands) == 2
    alone = api.deploy(run, "onnxruntime", candidate="decoder/minmax", out=tmp_path / "alone")
    assert alone.files == ("decoder-minmax.onnx",)
    best = api.optimize(two, "6", "30", out=tmp_path / "best", budget=1, calibrators="minmax")
    assert api.deploy(tmp_path / "best", "onnxruntime").files == done.files
    assert best.files.qdq == "deploy"


def test_what_was_changed_in_deploy_is_not_handed_over(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with (copy / "deploy" / "decoder.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(calibrant.CalibrantError, match=r"deploy/decoder\.onnx"):
        api.deploy(copy, "onnxruntime", out=tmp_path / "out")


def test_runs_of_parts_are_deleted_with_the_whole(
    two: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIBRANT_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    study, best = tmp_path / "study", tmp_path / "best"
    calibrant.study(two, "6", "30", out=study, diagnose_budget=1, calibrators="minmax")
    api.optimize(two, "6", "30", out=best, budget=1, calibrators="minmax")
    (study / "decoder" / "mine.txt").write_text("x")
    ids = {Path(found.run.folder): found.run.id for found in api.list_runs()}
    with pytest.raises(calibrant.CalibrantError, match=r"also holds decoder/mine\.txt"):
        api.remove_runs([ids[study]], files=True)
    (study / "decoder" / "mine.txt").unlink()
    api.remove_runs(list(ids.values()), files=True)
    assert not study.exists()
    assert not best.exists()
