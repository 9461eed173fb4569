"""Optimizing a model of several files: parts searched alone, chosen together, and the rest of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from toy import toy_samples
from toy_pipeline import NAME, ToyPipeline, known_to_the_registry, toy_folder

import calibrant
from calibrant import api
from calibrant.core.progress import Silent
from calibrant.core.recipes import PartsRecipe, Recipe
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.studies.optimization.measure import Measurer

FILES = ["decoder.onnx", "encoder.onnx", "tokens.txt"]


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with known_to_the_registry():
        yield


def optimize(model: Path, out: Path, **settings: Any) -> Any:
    chosen = {"calibrators": "minmax,entropy2", "budget": 6, "least_int8": 100, **settings}
    return calibrant.optimize(model, "6", "30", out=out, **chosen)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("models") / "two", ["encoder", "decoder"])


@pytest.fixture(scope="module")
def found(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished optimization of both parts."""
    return optimize(two, tmp_path_factory.mktemp("runs") / "run")


def test_both_parts_are_chosen_together_and_deployed(found: Any) -> None:
    out = Path(found.out)
    assert set(found.chosen.recipe["parts"]) == {"encoder", "decoder"}
    assert found.chosen.int8_share == 1.0
    assert (found.select_samples, found.report_samples) == (15, 15)
    assert sorted(path.name for path in (out / "deploy").iterdir()) == FILES
    for part, recipe in found.chosen.recipe["parts"].items():
        alone = json.loads((out / part / "optimization.json").read_text())
        assert recipe in (alone["chosen"]["recipe"], alone["best_single"]["recipe"])
        if recipe == alone["chosen"]["recipe"]:
            made = (out / part / alone["files"]["qdq"]).read_bytes()
            assert (out / "deploy" / f"{part}.onnx").read_bytes() == made


def test_what_is_deployed_scores_as_was_reported(found: Any, two: Path) -> None:
    predicted = []
    for folder in (two, Path(found.out) / "deploy"):
        with ExitStack() as stack:
            parts = ("encoder", "decoder")
            sessions = {
                part: stack.enter_context(OnnxRuntime().open(folder / f"{part}.onnx")) for part in parts
            }
            predicted.append(list(ToyPipeline(parts).drive(sessions, toy_samples(30, 1))))
    truth, deployed = predicted
    samples = toy_samples(30, 1)
    whole = ToyPipeline(("encoder", "decoder")).referring_to(samples, truth).score(samples, deployed).value
    halves = (found.chosen.select.value + found.chosen.report.value) / 2  # 15 samples each
    assert halves < found.float_report.value
    assert found.metric.in_unit(whole) == pytest.approx(halves, abs=1e-3)


def test_parts_in_float_are_what_the_parts_searches_measured(found: Any) -> None:
    alone = {
        part: json.loads((Path(found.out) / part / "optimization.json").read_text())
        for part in ("encoder", "decoder")
    }
    for entry in found.ablation:
        part, _, what = entry.technique.partition(" ")
        if what == "in INT8":
            other = next(name for name in alone if name != part)
            points = [alone[other][name] for name in ("chosen", "best_single")]
            assert entry.value in [point["report"]["value"] for point in points]


def test_what_may_stay_in_float_is_chosen_where_it_helps(two: Path, tmp_path: Path) -> None:
    whole = optimize(two, tmp_path / "whole", least_int8=100, max_loss=0.0)
    free = optimize(two, tmp_path / "free", least_int8=0, max_loss=0.0)
    assert free.chosen.select.loss.value <= whole.chosen.select.loss.value


def test_the_same_call_goes_on(found: Any, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr("calibrant.studies.optimization.measure.evaluate", refused)
    again = calibrant.resume(found.out)
    assert again.chosen == found.chosen  # type: ignore[union-attr]
    assert again.ablation == found.ablation  # type: ignore[union-attr]


def test_an_interrupted_search_is_gone_on_with(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = Measurer.agreement, list[object]()

    def interrupted(self: Measurer[Any], recipe: Any) -> float:
        calls.append(recipe)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return true(self, recipe)

    with monkeypatch.context() as patched:
        patched.setattr(Measurer, "agreement", interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimize(two, tmp_path / "run")
    assert not (tmp_path / "run" / "optimization.json").exists()
    assert (tmp_path / "run" / "encoder" / "measurements").is_dir()
    gone_on = calibrant.resume(tmp_path / "run")
    assert set(gone_on.chosen.recipe["parts"]) == {"encoder", "decoder"}  # type: ignore[union-attr]


def test_every_part_has_its_share_of_the_budget(found: Any) -> None:
    """What reporting on one part takes is not taken from the next one's search."""
    seconds = [
        json.loads((Path(found.out) / part / "goal.json").read_text())["seconds"]
        for part in ("encoder", "decoder")
    ]
    assert seconds[0] == 3
    assert seconds[1] >= 3


def test_a_studys_folder_is_optimized_as_a_whole(two: Path, tmp_path: Path) -> None:
    calibrant.study(two, "6", "30", out=tmp_path / "study", calibrators="minmax", diagnose_budget=0)
    found = api.optimize(tmp_path / "study", out=tmp_path / "run", budget=2)
    assert set(found.chosen.recipe["parts"]) == {"encoder", "decoder"}
    assert (tmp_path / "study" / "optimization.json").is_file()
    assert "Beyond calibrators" in (tmp_path / "study" / "report.html").read_text()


def test_recipes_make_the_same_parts_again(found: Any, two: Path, tmp_path: Path) -> None:
    recipe = Path(found.out) / found.files.recipe
    made = calibrant.apply_recipe(two, "6", recipe, tmp_path / "again")
    assert made.files.qdq == "deploy"
    for name in FILES:
        again = (tmp_path / "again" / "deploy" / name).read_bytes()
        assert again == (Path(found.out) / "deploy" / name).read_bytes()
    with pytest.raises(calibrant.CalibrantError, match="give the folder that it was made for"):
        calibrant.apply_recipe(two / "encoder.onnx", "6", recipe, tmp_path / "one", task=NAME)


def test_what_it_takes_is_told_beforehand(two: Path, tmp_path: Path) -> None:
    plan = api.plan_optimization(two, "6", "30", out=tmp_path / "run", budget="1m", progress=Silent())
    assert [step.split(":")[0] for step in plan.steps[:2]] == ["encoder", "decoder"]
    assert plan.seconds >= 60
    study = api.plan_study(two, "6", "30", out=tmp_path / "run", calibrators="minmax,mse")
    assert "together" in study.steps[-1]
    assert study.disk > sum(path.stat().st_size for path in two.iterdir())
    assert not (tmp_path / "run").exists()


def test_a_parts_recipe_changes_one_part() -> None:
    both = PartsRecipe((("encoder", Recipe("minmax")), ("decoder", Recipe("mse"))))
    assert both.with_part("decoder", None) == PartsRecipe((("encoder", Recipe("minmax")),))
    assert both.with_part("encoder", Recipe("mse")).key != both.key
    assert both.to_dict()["calibrator"] == "encoder/minmax, decoder/mse"
