"""Models of several files: parts studied one at a time, then together, in one run of the float whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_pipeline import known_to_the_registry, toy_folder

import calibrant
from calibrant.core.errors import SettingsError
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.studies.pipelines.verdict import ALL_PARTS

OTHERS = f"{ALL_PARTS}, other candidates"


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with known_to_the_registry():
        yield


def study(folder: Path, out: Path, **settings: Any) -> Any:
    chosen = {"diagnose_budget": 0, "calibrators": "minmax,entropy2,mse", **settings}
    return calibrant.study(folder, "6", "30", out=out, **chosen)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("models") / "two", ["encoder", "decoder"])


@pytest.fixture(scope="module")
def run(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished study of both parts."""
    return study(two, tmp_path_factory.mktemp("runs") / "run")


def test_every_part_and_all_together_are_candidates(run: Any) -> None:
    result = run
    assert [trial.calibrator for trial in result.trials] == [
        *(f"{part}/{name}" for part in ("encoder", "decoder") for name in ("minmax", "entropy2", "mse")),
        ALL_PARTS,
        OTHERS,
    ]
    together = result.trial(ALL_PARTS)
    assert result.recommended.calibrator == ALL_PARTS
    assert together.loss.value > max(part.loss.value for part in result.parts) > 0
    # Two parts: all but one is the other alone, which was measured.
    for part, other in zip(result.parts, reversed(result.parts), strict=True):
        assert part.saved.value == pytest.approx(together.loss.value - other.loss.value, abs=2e-3)


def test_of_the_simplest_together_and_the_best_together_the_better_counts(run: Any) -> None:
    together, others = run.trial(ALL_PARTS), run.trial(OTHERS)
    assert together.loss.value <= others.loss.value
    assert together.recipe == {part.name: part.chosen for part in run.parts}
    sets = []
    for part in run.parts:
        told = json.loads((Path(run.out) / part.name / "study.json").read_text())
        best = min(told["trials"], key=lambda trial: trial["loss"]["value"])
        sets.append((part.name, told["recommended"]["calibrator"], best["calibrator"]))
    simplest, least = ({name: pair[at] for name, *pair in sets} for at in (0, 1))
    assert simplest != least
    assert {tuple(found.recipe.items()) for found in (together, others)} == {
        tuple(simplest.items()),
        tuple(least.items()),
    }


def test_of_three_parts_all_but_each_is_measured(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "three", ["encoder", "decoder", "joiner"])
    result = study(folder, tmp_path / "run")
    measured = [trial.calibrator for trial in result.trials if "part" not in trial.recipe]
    assert [name for name in measured if name != OTHERS] == [
        ALL_PARTS,
        "all but encoder",
        "all but decoder",
        "all but joiner",
    ]
    assert all(part.saved.value > 0 for part in result.parts)


def test_the_most_in_int8_within_the_loss_allowed(two: Path, tmp_path: Path) -> None:
    free = study(two, tmp_path / "free")
    together, alone = free.trial(ALL_PARTS).loss.value, [part.loss.value for part in free.parts]
    limit = (together + max(alone)) / 2
    bound = study(two, tmp_path / "bound", max_loss=limit)
    assert bound.recommended.calibrator in {f"{part.name}/{part.chosen}" for part in bound.parts}
    assert "stays in float" in bound.recommended.reason
    none = study(two, tmp_path / "none", max_loss=0.0)
    assert none.recommended is None
    assert none.unrecommended


def test_what_is_to_be_deployed_is_whole(run: Any) -> None:
    result, folder = run, Path(run.out)
    deploy = folder / "deploy"
    assert sorted(path.name for path in deploy.iterdir()) == ["decoder.onnx", "encoder.onnx", "tokens.txt"]
    chosen = {part.name: part.chosen for part in result.parts}
    for part, name in chosen.items():
        made = folder / part / f"{name}.qdq.onnx"
        assert (deploy / f"{part}.onnx").read_bytes() == made.read_bytes()


def test_each_part_is_a_run_of_its_own(run: Any) -> None:
    folder = Path(run.out) / "decoder"
    told = json.loads((folder / "study.json").read_text())
    again = calibrant.resume(folder)
    assert [trial.score.value for trial in again.trials] == [t["score"]["value"] for t in told["trials"]]  # type: ignore[union-attr]
    assert calibrant.diagnose(folder, budget=20).losing


def test_statistics_are_of_one_run_of_the_whole(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    record = OnnxRuntime.record

    def recorded(self: OnnxRuntime, model: Path, *rest: Any) -> Any:
        opened.append(model.name)
        return record(self, model, *rest)

    monkeypatch.setattr(OnnxRuntime, "record", recorded)
    whole = study(two, tmp_path / "run")
    assert opened == ["encoder.onnx", "decoder.onnx"]
    alone = calibrant.resume(tmp_path / "run" / "decoder", cache=False)
    of_whole = [trial for trial in whole.trials if trial.recipe.get("part") == "decoder"]
    assert [trial.key for trial in alone.trials] == [trial.key for trial in of_whole]  # type: ignore[union-attr]


def test_a_decoders_candidates_do_not_run_the_encoder_again(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: Counter[str] = Counter()
    opened = OnnxRuntime.open

    def counted(self: OnnxRuntime, model: Path) -> Any:
        session = opened(self, model)
        run = session.run

        def counting(feeds: Any) -> Any:
            runs[str(model)] += 1
            return run(feeds)

        session.run = counting  # type: ignore[method-assign]
        return session

    monkeypatch.setattr(OnnxRuntime, "open", counted)
    counts = []
    for calibrators in ("minmax", "minmax,entropy2,mse"):
        runs.clear()
        study(two, tmp_path / calibrators, race=False, calibrators=calibrators, cache=False)
        counts.append((runs[str(two / "encoder.onnx")], runs[str(two / "decoder.onnx")]))
    (few, few_decoded), (many, many_decoded) = counts
    assert many == few
    assert many_decoded >= few_decoded + 2 * 30


def test_resume_goes_on_with_the_whole(run: Any) -> None:
    first, second = run, calibrant.resume(run.out)
    assert isinstance(second, type(first))
    assert [trial.score for trial in second.trials] == [trial.score for trial in first.trials]
    assert second.recommended == first.recommended


def test_an_executor_gives_the_same(run: Any, two: Path, tmp_path: Path) -> None:
    one, two_processes = run, study(two, tmp_path / "run", executor="local:2", cache=False)
    assert [trial.key for trial in one.trials] == [trial.key for trial in two_processes.trials]
    assert [trial.score for trial in one.trials] == [trial.score for trial in two_processes.trials]


def test_a_shape_for_all_parts_is_refused(two: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="leave --input-shape out"):
        study(two, tmp_path / "run", input_shape="8x8")


def test_the_report_tells_the_parts(run: Any) -> None:
    assert "saved in float" in (Path(run.out) / "report.html").read_text()
    assert (Path(run.out) / "encoder" / "report.html").is_file()
