"""``calibrant diagnose``, and the diagnosis that every study makes of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run
from toy_detector import detector, saved, write_coco, write_images

from calibrant import api
from calibrant.core.errors import DataError, SettingsError
from calibrant.studies.diagnosis.files import DIAGNOSIS, diagnosis_to_dict, read_diagnosis

CALIBRATORS = "minmax,percentile:10"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a detector, its data, and the study of it in ``out``, diagnosed."""
    folder = tmp_path_factory.mktemp("diagnosed")
    saved(detector(), folder / "m.onnx")
    write_images(folder / "calib", 4, seed=1)
    write_coco(folder / "test", 30, seed=1000)
    api.study(
        folder / "m.onnx",
        folder / "calib",
        folder / "test",
        out=folder / "out",
        calibrators=CALIBRATORS,
        race=False,
        cache=False,
        diagnose_budget=0,
    )
    assert not (folder / "out" / DIAGNOSIS).exists()
    api.diagnose(folder / "out", losing="percentile:10", budget=None)
    return folder


@pytest.fixture
def studied(made: Path, tmp_path: Path) -> Path:
    """A copy of the study, to be diagnosed again."""
    shutil.copytree(made / "out", tmp_path / "again")
    (tmp_path / "again" / DIAGNOSIS).unlink()
    return tmp_path / "again"


@pytest.fixture
def found(made: Path) -> dict[str, Any]:
    """diagnosis.json."""
    content: dict[str, Any] = json.loads((made / "out" / DIAGNOSIS).read_text("utf-8"))
    return content


def test_the_file_reads_back_as_the_same_values(made: Path, found: dict[str, Any]) -> None:
    read = read_diagnosis(made / "out")
    assert json.loads(json.dumps(diagnosis_to_dict(read))) == found
    assert read.tensor("hue") is not None


def test_a_damaged_or_foreign_file_is_refused(studied: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_diagnosis(studied)
    (studied / DIAGNOSIS).write_text('{"schema_version": 99}', "utf-8")
    with pytest.raises(DataError, match="has schema version 99, not 1"):
        read_diagnosis(studied)
    (studied / DIAGNOSIS).write_text('{"schema_version": 1}', "utf-8")
    with pytest.raises(DataError, match="is no diagnosis"):
        read_diagnosis(studied)


def test_a_candidate_that_is_asked_for_is_compared_with_the_recommended(found: dict[str, Any]) -> None:
    assert (found["losing"], found["winning"]) == ("percentile:10", "minmax")
    assert found["schema_version"] == 2
    assert found["left_out"] == []
    assert found["verdict"]


def test_the_swap_test_explains_the_gap_by_the_tensor_that_is_clipped(found: dict[str, Any]) -> None:
    swap = found["swap"]
    assert swap["is_complete"]
    assert swap["gap"]["value"] > 0
    gained = sum(step["gained"] for step in swap["steps"])
    assert gained == pytest.approx(swap["explained"]["value"], abs=1e-3)
    assert swap["steps"][-1]["explained"] >= 0.9
    assert "percentile:10 loses" in swap["sentence"]


def test_every_layer_is_measured_by_itself_and_left_out(found: dict[str, Any]) -> None:
    (sensitivity,) = found["sensitivity"]
    assert [layer["node"] for layer in sensitivity["layers"]] == ["colour", "head"]
    for layer in sensitivity["layers"]:
        assert 0 <= layer["agreement_alone"] <= 1
        assert layer["gain_without"] == pytest.approx(
            layer["agreement_without"] - sensitivity["agreement_all"], abs=1e-5
        )
        assert layer["lost_alone"] is not None
    assert [growth["calibrator"] for growth in found["growth"]] == ["percentile:10", "minmax"]


def test_detections_lost_are_counted_and_shown(found: dict[str, Any]) -> None:
    losing, winning = found["differences"]
    assert losing["fp32_boxes"] == losing["kept"] + losing["moved"] + losing["lost"]
    assert losing["int8_boxes"] == losing["kept"] + losing["moved"] + losing["gained"]
    assert losing["lost"] > winning["lost"]
    assert losing["worst_images"]
    worst = losing["worst_images"][0]
    assert Path(worst["path"]).is_file()
    assert {group["name"] for group in losing["groups"]} >= {"small", "red", "blue"}


def test_tensors_say_what_each_range_loses(found: dict[str, Any]) -> None:
    by_name = {tensor["tensor"]: tensor for tensor in found["tensors"]}
    losing, winning = (
        next(error for error in by_name["hue"]["errors"] if error["calibrator"] == name)
        for name in ("percentile:10", "minmax")
    )
    assert winning["ratio"] == pytest.approx(1, abs=0.01)
    assert losing["clipped"] > winning["clipped"]
    assert by_name["images"]["producer"] is None
    assert by_name["hue"]["peaks"]["channels"] > 1
    assert by_name["hue"]["readers"] == ["head"]


def test_causes_come_with_remedies_that_can_be_run(found: dict[str, Any]) -> None:
    commands = {remedy["command"] for cause in found["causes"] for remedy in cause["remedies"]}
    assert commands
    assert all(command is None or command.startswith("calibrant ") for command in commands)


def test_the_terminal_shows_the_answer_first(studied: Path, run: Run) -> None:
    answer = run("diagnose", studied, "--candidate", "percentile:10")
    assert answer.code == 0
    assert (studied / DIAGNOSIS).exists()
    lines = answer.out.splitlines()
    assert "percentile:10 against minmax" in lines[0]
    assert lines[1].startswith("- percentile:10 loses")
    assert answer.out.rstrip().endswith("diagnosis.json")
    commands = [line.strip() for line in lines if line.strip().startswith("calibrant ")]
    assert len(commands) == len(set(commands)) > 0


def test_the_recommended_candidate_is_explained_against_fp32(studied: Path, run: Run) -> None:
    answer = run("diagnose", studied)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert "minmax against FP32" in lines[0]
    assert lines[1].startswith("- minmax ")
    assert "against FP32" in lines[1]
    found = read_diagnosis(studied)
    assert (found.losing, found.winning, found.swap) == ("minmax", "minmax", None)
    assert [seen.calibrator for seen in found.sensitivity] == ["minmax"]
    remedies = [remedy.text for cause in found.causes for remedy in cause.remedies]
    assert not any(text.startswith("deploy ") for text in remedies)  # the others lose more


def test_a_budget_may_be_text(studied: Path) -> None:
    assert api.diagnose(studied, budget="60s").budget_seconds == 60
    with pytest.raises(SettingsError, match="a budget of 'soon' is no time"):
        api.diagnose(studied, budget="soon")


def test_other_candidates_can_be_asked_for(studied: Path, run: Run) -> None:
    answer = run(
        "diagnose", studied, "--losing", "minmax", "--winning", "minmax", "--json", "--budget", "60s"
    )
    content = json.loads(answer.out)
    assert content == json.loads((studied / DIAGNOSIS).read_text("utf-8"))
    assert content["losing"] == content["winning"] == "minmax"
    assert content["swap"] is None


def test_without_time_only_what_is_free_is_told(studied: Path, run: Run) -> None:
    answer = run("diagnose", studied, "--budget", "0.000001", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["left_out"]


def test_a_study_diagnoses_itself_within_its_budget(study: Run, work: Path) -> None:
    assert study("--no-race", "--diagnose-budget", "60s", calibrators=CALIBRATORS).code == 0
    content = json.loads((work / "out" / "diagnosis.json").read_text("utf-8"))
    assert content["budget_seconds"] == 60
    assert content["tensors"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "is no folder"),
        (("STUDIED", "--losing", "mse"), "the study measured no 'mse'; it has minmax, percentile:10"),
    ],
)
def test_what_cannot_be_diagnosed(studied: Path, run: Run, arguments: tuple[str, ...], words: str) -> None:
    given = [str(studied) if argument == "STUDIED" else argument for argument in arguments]
    assert words in run("diagnose", *given).error


def test_a_model_that_changed_is_not_diagnosed(studied: Path, run: Run) -> None:
    content = json.loads((studied / "study.json").read_text("utf-8"))
    content["model"]["sha256"] = "0" * 64
    (studied / "study.json").write_text(json.dumps(content), "utf-8")
    (studied / "SHA256SUMS").unlink()
    assert "is no longer the model" in run("diagnose", studied).error


def test_a_diagnosis_that_fails_is_a_remark(study: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("something of ours is broken")

    monkeypatch.setattr("calibrant.studies.diagnosis.of_run.case_of", broken)
    answer = study("--no-race")
    assert answer.code == 0
    assert "no diagnosis was made: RuntimeError: something of ours is broken" in answer.err
    assert (work / "out" / "study.json").exists()
