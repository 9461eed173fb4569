"""What a finding costs decides whether it is a cause, and which comes first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.metrics import Loss, Metric
from calibrant.core.tasks import Words
from calibrant.models.onnx.model import load_model
from calibrant.studies.diagnosis.case import DiagnosedCandidate, DiagnosisInput, case_of
from calibrant.studies.diagnosis.causes import causes_of
from calibrant.studies.diagnosis.result import (
    Cause,
    LayerSensitivity,
    NoiseGrowth,
    NoisePoint,
    Peaks,
    RangeError,
    Sensitivity,
    SwapStep,
    SwapTest,
    TensorDiagnosis,
)
from calibrant.studies.diagnosis.swaps import sentence
from calibrant.studies.result import Recommended, Trial

TENSORS = ("a", "b", "c", "d", "e")


@pytest.fixture
def case(tmp_path: Path) -> DiagnosisInput:
    """A chain of five convolutions over the tensors a, b, c, d and e."""
    names = (*TENSORS, "y")
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], name=f"conv {names[i]}")
        for i in range(len(TENSORS))
    ]
    shape = [1, 1, 2, 2]
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "y"))
    weights = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), f"w{i}") for i in range(len(TENSORS))
    ]
    graph = helper.make_graph(nodes, "chain", [first], [last], weights)
    path = tmp_path / "my model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    study = SimpleNamespace(
        plan=SimpleNamespace(model=load_model(path)),
        calibration=[None] * 20,
        task=SimpleNamespace(words=Words(), metric=Metric("map50_95", "mAP")),
        data=SimpleNamespace(calibration="calib", dataset="labels.json"),
    )
    trials = {
        name: DiagnosedCandidate(name, {}, drop)
        for name, drop in (("minmax", 9.0), ("mse", 3.0), ("best", 1.0))
    }
    return DiagnosisInput(cast(Any, study), cast(Any, None), trials, "minmax", "best")


def clipped(tensor: str) -> TensorDiagnosis:
    def error(calibrator: str, ratio: float, clipping: float) -> RangeError:
        return RangeError(calibrator, -ratio, ratio, ratio, 0.01, clipping, 10.0, None, None, 0.0)

    errors = (error("minmax", 0.3, 0.99), error("mse", 0.9, 0.2), error("best", 1.0, 0.0))
    return TensorDiagnosis(tensor, None, (f"conv {tensor}",), 100, -1.0, 1.0, 3.0, 1.5, None, errors)


def alone(**losses: float) -> Sensitivity:
    layers = (LayerSensitivity(f"conv {name}", (name,), 1 - loss) for name, loss in losses.items())
    return Sensitivity("minmax", 24, 0.5, tuple(layers))


def swap(**gained: float) -> SwapTest:
    none = Loss(0.0, 0.0, 0.0)
    steps = (SwapStep(n, (), 1.0, 2.0, 0.0, 0.9, 30.0, none, points, 0.0) for n, points in gained.items())
    return SwapTest("minmax", "best", 300, Loss(8.0, 6.0, 10.0), none, True, tuple(steps), "")


def found(case: DiagnosisInput, *args: Any) -> tuple[Cause, ...]:
    return causes_of(case, "runs/it", [clipped(name) for name in TENSORS], {}, *args)


def test_what_the_swap_test_charges_most_comes_first(case: DiagnosisInput) -> None:
    causes = found(case, [], swap(b=1.0, a=5.0, c=0.1))
    assert [(cause.tensor, cause.cost) for cause in causes[:2]] == [("a", 5.0), ("b", 1.0)]
    assert "c" not in {cause.tensor for cause in causes}  # less than 3 % of the gap


def test_a_layer_that_costs_nothing_has_no_cause(case: DiagnosisInput) -> None:
    causes = found(case, [alone(a=0.2, b=0.001, c=0.0, d=0.0, e=0.0)], None)
    assert [cause.tensor for cause in causes] == ["a"]
    assert causes[0].loss_alone == pytest.approx(0.2)
    assert causes[0].cost is None


def test_without_measurements_all_that_rules_find_counts_three_of_a_kind(case: DiagnosisInput) -> None:
    causes = found(case, [], None)
    assert [cause.kind for cause in causes] == ["clipped"] * 3
    assert "2 other tensors" in causes[-1].text


def test_without_prices_the_layer_behind_which_the_error_grows_comes_first(case: DiagnosisInput) -> None:
    levels = {"a": 40.0, "b": 38.0, "c": 20.0, "d": 15.0, "e": 15.5}
    points = (NoisePoint(i, f"conv {name}", "", db) for i, (name, db) in enumerate(levels.items()))
    causes = found(case, [], None, [NoiseGrowth("minmax", 8, tuple(points))])
    # Nothing lies before a, so that it cannot be said that the error grows there; b and e stay below 3 dB.
    assert [cause.tensor for cause in causes] == ["c", "d", "a"]


def test_what_does_not_hurt_the_losing_candidate_is_no_cause(case: DiagnosisInput) -> None:
    assert found(replace(case, losing="mse"), [alone(a=0.5)], None) == ()


def test_remedies_are_commands_that_a_shell_takes(case: DiagnosisInput) -> None:
    (cause,) = found(case, [alone(a=0.2, b=0, c=0, d=0, e=0)], None)
    commands = [remedy.command for remedy in cause.remedies]
    assert commands[0] is not None
    assert commands[0].startswith("calibrant study '/")
    assert commands[0].endswith("my model.onnx' --calib calib --data labels.json --calibrators best")
    assert commands[1] == "calibrant optimize runs/it"


def test_the_best_candidate_is_not_told_to_make_way_for_a_worse_one(case: DiagnosisInput) -> None:
    alone_in_it = replace(case, losing="mse", winning="mse")
    errors = tuple(
        replace(error, ratio=0.3, clipping_share=0.99, sqnr_db=5.0)
        if error.calibrator == "mse"
        else replace(error, sqnr_db=15.0 if error.calibrator == "best" else 10.0)
        for error in clipped("a").errors
    )
    tensor = replace(clipped("a"), errors=errors)
    (cause,) = causes_of(alone_in_it, "runs/it", [tensor], {}, [alone(a=0.5)], None)
    # Held against the range that changes the tensor least, it is clipped; to deploy that one helps nobody.
    assert cause.kind == "clipped"
    assert [remedy.command for remedy in cause.remedies] == ["calibrant optimize runs/it"]


def test_an_incomplete_swap_test_denies_no_tensor_that_helped() -> None:
    def told(*gained: float, untried: int = 0) -> str:
        steps, left = [], 8.0
        for number, points in enumerate(gained):
            left -= points
            lost = Loss(left, left - 1, left + 1)
            steps.append(SwapStep(f"t{number}", (), 1.0, 2.0, 0.0, 0.9, 30.0, lost, points, 1 - left / 8.0))
        return sentence("minmax", "best", Loss(8.0, 6.0, 10.0), Metric("map50_95", "mAP"), steps, {}, untried)

    assert "no single tensor accounts for it: 2 tensors were given" in told(-1.0, -0.5)
    assert "none of those tried so far accounts for it" in told(-1.0, -0.5, untried=3)
    undone = told(2.0, -3.0)
    assert "no single tensor" not in undone
    assert "'t0' (+2.0)" in undone
    assert told(2.0, untried=4).endswith("the test is incomplete, 4 more tensors differ")
    assert "incomplete" not in told(8.0, untried=4)


def test_width_is_no_reason_where_the_winner_is_wider(case: DiagnosisInput) -> None:
    peaks = Peaks("7.jpg", None, 3, 0.9, 1.0, 64, 0.01, 1 / 64)
    outlier = replace(clipped("a"), peaks=peaks)

    def kinds(known: DiagnosisInput) -> set[str]:
        causes = causes_of(known, "runs/it", [outlier], {}, [alone(a=0.2)], None)
        return {cause.kind for cause in causes}

    assert kinds(case) == {"clipped"}
    assert kinds(replace(case, losing="best", winning="minmax")) == {"channel-outlier"}


def test_a_layer_left_in_float_says_what_was_measured(case: DiagnosisInput) -> None:
    peaks = Peaks("7.jpg", None, 3, 0.9, 1.0, 64, 0.01, 1 / 64)
    outlier = replace(clipped("a"), peaks=peaks)
    layer = LayerSensitivity("conv a", ("a",), 0.5, lost_without=Loss(1.25, 0.5, 2.0))
    known = replace(case, losing="best", winning="minmax")
    (cause,) = causes_of(known, "runs/it", [outlier], {}, [Sensitivity("best", 24, 0.5, (layer,))], None)
    assert "leave 'conv a' in float: best then loses 1.2 points (95 % interval 0.5 to 2.0)" in {
        remedy.text for remedy in cause.remedies
    }


def trial(name: str, lost: float | None) -> Trial:
    return Trial(name, name, "ok", loss=None if lost is None else Loss(lost, lost, lost))


TRIALS = (trial("minmax", 2.0), trial("mse", 9.0), trial("lost", 20.0), trial("failed", None))
RECOMMENDED = Recommended("minmax", "", (), 0.0)
ENCODINGS: dict[str, dict[str, Any]] = {"minmax": {}, "mse": {}, "failed": {}}


def chosen(
    trials: tuple[Trial, ...] = TRIALS, recommended: Recommended | None = RECOMMENDED, **names: str
) -> DiagnosisInput:
    result = cast(Any, SimpleNamespace(trials=trials, recommended=recommended))
    return case_of(cast(Any, None), cast(Any, None), ENCODINGS, result, **names)


def test_the_recommended_candidate_is_explained_unless_another_is_asked_for() -> None:
    assert (chosen().losing, chosen().winning) == ("minmax", "minmax")
    assert not chosen().is_compared
    assert (chosen(losing="mse").losing, chosen(losing="mse").winning) == ("mse", "minmax")
    assert chosen(losing="minmax", winning="mse").losing == "minmax"
    assert chosen(recommended=None).winning == "minmax"
    assert [trial.calibrator for trial in chosen(losing="minmax").held] == ["minmax"]


def test_names_that_were_not_measured_are_refused() -> None:
    with pytest.raises(SettingsError, match="measured no 'failed'; it has minmax, mse"):
        chosen(losing="failed")
    with pytest.raises(DataError, match="measured no candidate"):
        chosen(TRIALS[3:])
