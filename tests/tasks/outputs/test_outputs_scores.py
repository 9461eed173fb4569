"""Outputs held against the float model's, without labels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.tasks import Evaluated
from calibrant.core.types import Feeds
from calibrant.tasks.outputs.definition import OUTPUTS
from calibrant.tasks.outputs.errors import OutputNoise
from calibrant.tasks.outputs.samples import FeedSample
from calibrant.tasks.outputs.task import OutputsTask
from calibrant.testing import TaskConformance


def _nothing() -> dict[str, NDArray[np.float32]]:
    return {}


SAMPLES = [FeedSample(name, partial(_nothing)) for name in "ab"]
FLOAT: list[Feeds] = [
    {"y": np.array([[3.0, 4.0]], np.float32), "n": np.array([1, 2])},
    {"y": np.array([[0.0, 10.0]], np.float32), "n": np.array([3, 4])},
]
FOUND: list[Feeds] = [
    {"y": np.array([[3.0, 3.0]], np.float32), "n": np.array([1, 2])},
    {"y": np.array([[0.0, 12.0]], np.float32), "n": np.array([3, 0])},
]
TASK = OutputsTask().referring_to(SAMPLES, FLOAT)


def test_the_error_is_noise_by_signal_the_mean_over_outputs() -> None:
    """By hand: y has noise 1 + 4 of 25 + 100, n one wrong number of four."""
    score = TASK.score(SAMPLES, FOUND)
    assert score.value == pytest.approx((np.sqrt(5 / 125) + np.sqrt(1 / 4)) / 2)
    figures = {figure.name: figure.value for figure in score.figures}
    assert figures["SQNR of y"] == pytest.approx(-10 * np.log10(5 / 125), abs=1e-3)
    assert figures["worst SQNR of y"] == pytest.approx(-10 * np.log10(1 / 25), abs=1e-3)
    assert figures["same top-1 of y"] == 50  # equal scores: the first one


def test_the_float_model_itself_has_no_error() -> None:
    score = TASK.score(SAMPLES, FLOAT)
    assert score.value == 0
    assert OUTPUTS.metric.is_usable(score.value)
    assert TASK.agreement(FLOAT, FLOAT) == 1
    assert 0 < TASK.agreement(FLOAT, FOUND) < 1


def test_evidence_is_the_error_under_any_weights() -> None:
    evidence = TASK.evidence(SAMPLES, FOUND)
    weights = np.array([[1, 1], [1, 0], [0, 5], [0, 0]])
    found = evidence.resample(weights)
    assert found[:3] == pytest.approx(
        [TASK.score(SAMPLES, FOUND).value, np.sqrt(1 / 25) / 2, (np.sqrt(4 / 100) + np.sqrt(1 / 2)) / 2]
    )
    assert np.isnan(found[3])
    again = OUTPUTS.evidence_from(evidence.to_arrays())
    assert np.array_equal(again.resample(weights), found, equal_nan=True)
    with pytest.raises(ValueError, match="not of one set"):
        OutputNoise.from_arrays({"noise": np.zeros((2, 1)), "signal": np.zeros((3, 1))})


def test_outputs_that_are_no_numbers_or_of_another_shape_are_all_wrong() -> None:
    broken: list[Feeds] = [{"y": np.full((1, 2), np.nan, np.float32), "n": FLOAT[0]["n"]}, FLOAT[1]]
    assert TASK.score(SAMPLES, broken).value == np.inf
    other: list[Feeds] = [{"y": np.zeros((1, 3), np.float32), "n": FLOAT[0]["n"]}, FLOAT[1]]
    assert TASK.evidence(SAMPLES, other).noise[0, 0] == 25


def test_without_the_float_models_outputs_nothing_is_scored() -> None:
    with pytest.raises(SettingsError, match="neither labels nor the float model's outputs"):
        OutputsTask().score(SAMPLES, FOUND)


def test_outputs_come_back_as_they_were() -> None:
    again = TASK.unpack(TASK.pack(FOUND))
    assert TASK.agreement(FOUND, again) == 1


def test_differences_name_the_worst_output_and_sample() -> None:
    both = [Evaluated(found, TASK.score(SAMPLES, found)) for found in (FLOAT, FOUND)]
    told = TASK.differences("minmax", SAMPLES, *both)
    assert [output.name for output in told.outputs] == ["n", "y"]
    assert told.worst_samples[0].sample == "b"
    assert "output n is off by 50.00 %" in told.sentence()


class TestOutputsConform(TaskConformance):
    best = 0.0
    task = OutputsTask().referring_to(
        [FeedSample(name, partial(_nothing)) for name in "abc"],
        [*FLOAT, {"y": FLOAT[0]["y"], "n": FLOAT[1]["n"]}],
    )

    def samples(self) -> list[FeedSample]:
        return [FeedSample(name, partial(_nothing)) for name in "abc"]

    def perfect(self, sample: FeedSample) -> Feeds:
        return {"a": FLOAT[0], "b": FLOAT[1], "c": {"y": FLOAT[0]["y"], "n": FLOAT[1]["n"]}}[sample.id]

    def nothing(self, sample: FeedSample) -> Feeds:
        return {name: np.zeros_like(values) for name, values in self.perfect(sample).items()}
