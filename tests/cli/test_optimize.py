"""``calibrant optimize``: what it writes and prints; that it can be stopped, resumed and repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from outcomes import Outcome, Run
from toy_detector import write_images

from calibrant import api
from calibrant.core.errors import OutputError
from calibrant.studies.optimization.measure import Measurer


@pytest.fixture
def optimize(run: Run) -> Run:
    """Run ``calibrant optimize`` on the folder's model and data; options given later win."""

    def called(*options: object, calibrators: str = "minmax,percentile:90", out: object = "best") -> Outcome:
        required = ("--calib", "calib", "--data", "test", "--out", out, "--calibrators", calibrators)
        return run("optimize", "m.onnx", *required, "--budget", "6s", *options)

    return called


def content_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "optimization.json").read_text(encoding="utf-8"))
    return content


def test_the_best_model_is_found_told_and_written(optimize: Run, work: Path) -> None:
    answer = optimize()
    assert (answer.code, answer.err) == (0, "")
    assert "chosen on 15 samples, reported on 15 others" in answer.out
    assert "it loses 0.0 points of mAP" in answer.out
    found = content_of(work / "best")
    assert found["schema_version"] == 2
    assert found["is_met"]
    assert found["chosen"]["int8_share"] == 1.0
    assert found["chosen"]["report"]["loss"]["value"] == 0.0
    assert found["best_single"]["recipe"]["calibrator"] == "minmax"
    onnx.checker.check_model(onnx.load(work / "best" / found["files"]["qdq"]))
    assert (work / "best" / found["files"]["cache"]).read_text().startswith("TRT-")


def test_a_recipe_makes_the_same_files_again(optimize: Run, run: Run, work: Path) -> None:
    assert optimize().code == 0
    recipe = work / "best" / "optimized.recipe.yaml"
    again = run("optimize", "m.onnx", "--calib", "calib", "--recipe", recipe, "--out", "again")
    assert again.code == 0
    assert again.out.startswith("float: 0 of 2 layers")
    for name in ("optimized.qdq.onnx", "optimized.encodings.json", "optimized.recipe.yaml"):
        assert (work / "again" / name).read_bytes() == (work / "best" / name).read_bytes()


def test_options_of_the_task_hold_for_a_recipe_too(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recognizer's key file was left out, and nothing could be read."""
    seen: dict[str, Any] = {}

    def applied(**settings: Any) -> None:
        seen.update(settings)
        raise OutputError("seen")

    monkeypatch.setattr(api, "apply_recipe", applied)
    run("optimize", "m.onnx", "--calib", "calib", "--recipe", "r.yaml", "--out", "o", "--characters", "k.txt")
    assert seen["characters"] == "k.txt"


@pytest.mark.parametrize(
    ("scheme", "technique", "used", "left", "told"),
    [
        ("tensorrt", "zero_points", "everywhere", "nowhere", "shifted"),
        ("onnxruntime", "float_functions", "true", "false", "normalized"),
    ],
)
def test_a_recipe_may_be_edited(
    optimize: Run, run: Run, work: Path, scheme: str, technique: str, used: str, left: str, told: str
) -> None:
    assert optimize("--scheme", scheme, "--budget", "1s").code == 0
    lines = (work / "best" / "optimized.recipe.yaml").read_text().splitlines()
    other = left if f"  {technique}: {used}" in lines else used  # the search may have used it already
    edited = [f"  {technique}: {other}" if line.startswith(f"  {technique}:") else line for line in lines]
    assert edited != lines
    (work / "edited.yaml").write_text("\n".join(edited))
    for out in ("once", "twice"):
        made = run("optimize", "m.onnx", "--calib", "calib", "--recipe", "edited.yaml", "--out", out)
        assert (made.code, told in made.out) == (0, other == used)
    files = [(work / folder / "optimized.qdq.onnx").read_bytes() for folder in ("once", "twice", "best")]
    assert files[0] == files[1] != files[2]
    onnx.checker.check_model(onnx.load_from_string(files[0]), full_check=True)


def test_other_images_are_told_of(optimize: Run, run: Run, work: Path) -> None:
    assert optimize().code == 0
    write_images(work / "other", 3, seed=9)
    recipe = work / "best" / "optimized.recipe.yaml"
    again = run("optimize", "m.onnx", "--calib", "other", "--recipe", recipe, "--out", "again")
    assert "made with other calibration images" in again.err


def test_an_interrupted_search_gives_its_best_and_goes_on(
    optimize: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Measurer.agreement
    calls: list[object] = []

    def interrupted(self: Measurer[Any], recipe: Any) -> float:
        calls.append(recipe)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return true(self, recipe)

    with monkeypatch.context() as patched:
        patched.setattr(Measurer, "agreement", interrupted)
        first = optimize()
    assert first.code == 0
    assert "was interrupted" in first.out
    assert content_of(work / "best")["was_interrupted"]
    kept = {path.name: path.stat().st_mtime_ns for path in (work / "best" / "measurements").glob("*.json")}
    assert kept
    second = optimize()
    assert second.code == 0
    assert not content_of(work / "best")["was_interrupted"]
    for name, written in kept.items():
        assert (work / "best" / "measurements" / name).stat().st_mtime_ns == written  # not measured again


def test_a_damaged_measurement_is_made_again(optimize: Run, work: Path) -> None:
    assert optimize().code == 0
    before = content_of(work / "best")
    for path in (work / "best" / "measurements").glob("*-select.json"):
        path.write_text("{")
    assert optimize().code == 0
    after = content_of(work / "best")
    assert (after["chosen"]["recipe"], after["front"]) == (before["chosen"]["recipe"], before["front"])


def test_a_studys_folder_knows_model_and_data(study: Run, run: Run, work: Path) -> None:
    assert study(out="run").code == 0
    answer = run("optimize", "run", "--budget", "30s", "--out", "best", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["best_single"]["recipe"]["calibrator"] == "minmax"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget", "soon"), "is no time"),
        (("--limit", "4"), "cannot be halved"),
        (("--min-int8", "101"), "--min-int8"),
        (("--max-drop", "-1"), "--max-drop"),
        (("--recipe", "none.yaml"), "cannot read"),
    ],
)
def test_bad_input_is_told_in_one_line(optimize: Run, options: tuple[str, ...], words: str) -> None:
    assert words in optimize(*options).error


def test_a_budget_that_bought_nothing_says_so(optimize: Run, work: Path) -> None:
    answer = optimize("--budget", "1s", calibrators="minmax")
    found = content_of(work / "best")
    words = " ".join(answer.out.split())
    assert ("bought nothing" in words) == (found["gain_over_single"]["low"] <= 0)
    assert "optimized.qdq.onnx (ONNX with Q/DQ)" in words
    assert "(TensorRT calibration cache and its float model, up to TensorRT 10)" in words


def test_a_float_model_that_finds_nothing_is_not_optimized(optimize: Run, work: Path) -> None:
    labels = next((work / "test").glob("*.json"))
    content = json.loads(labels.read_text("utf-8"))
    for found in content["annotations"]:
        found["bbox"] = [0, 0, 2, 2]
    labels.write_text(json.dumps(content), "utf-8")
    answer = optimize()
    assert answer.code == 4
    assert "the float model itself has only" in answer.err
    assert "calibrant inspect" in answer.err
    assert not (work / "best" / "optimization.json").exists()


def test_a_model_alone_lacks_its_data(run: Run) -> None:
    assert "--calib and --data" in run("optimize", "m.onnx").error


def test_what_fails_while_files_are_written_leaves_the_old_ones(
    optimize: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert optimize().code == 0
    before = {path.name: path.read_bytes() for path in (work / "best").glob("optimi*")}

    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr("calibrant.studies.optimization.deliver.write_recipe", full)
    assert optimize("--overwrite", "--seed", "1").code == 2
    assert {path.name: path.read_bytes() for path in (work / "best").glob("optimi*")} == before
    assert not list((work / "best").glob(".calibrant-*"))


def test_resume_spends_what_is_left_of_the_budget(optimize: Run, run: Run, work: Path) -> None:
    assert optimize().code == 0
    goal = json.loads((work / "best" / "goal.json").read_text())
    assert goal["spent"] > 0
    (work / "best" / "goal.json").write_text(json.dumps({**goal, "spent": 5.9}))
    assert run("resume", "best").code == 0
    assert content_of(work / "best")["seconds"] >= 5.9
