"""A user's own metric: a value of each sample, with a stated direction, under any weighting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import calibrant
from calibrant.core.errors import SettingsError
from calibrant.core.own_metric import OwnMetric, ScoredBy, own_evidence


@dataclass(frozen=True)
class Item:
    id: str
    label: int


class Plain:
    """As much of a task as a metric of one's own needs."""

    name, parts, batch, needs_reference = "plain", ("model",), 1, False
    words = None


@calibrant.metric(direction="minimize", unit="%")
def wrong(sample: Any, prediction: Any) -> tuple[int, int]:
    return int(prediction != sample.label), 1 + sample.label


def test_the_score_is_the_ratio_of_sums_and_resamples_to_it() -> None:
    samples = [Item("a", 0), Item("b", 1), Item("c", 3)]
    evidence = ScoredBy(Plain(), wrong).evidence(samples, [0, 0, 0])  # type: ignore[arg-type]
    assert evidence.value == 2 / 7
    twice = np.array([[2, 2, 2], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(evidence.resample(twice), [2 / 7, 1 / 2, math.nan])
    again = own_evidence(evidence.to_arrays())
    assert again is not None
    assert again.value == evidence.value
    assert own_evidence({"edits": np.zeros(3)}) is None


def test_it_is_the_function_still_and_says_its_direction() -> None:
    assert isinstance(wrong, OwnMetric)
    assert wrong(Item("a", 1), 0) == (1, 2)
    assert (wrong.metric.name, wrong.metric.direction, wrong.metric.unit) == ("wrong", "minimize", "%")
    with pytest.raises(SettingsError, match="'up' is no direction"):
        calibrant.metric(direction="up")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("text", "fails on 'a': TypeError"),
        ((1.0, -1.0), "gives (1.0, -1.0) for 'a'"),
        (math.inf, "gives inf for 'a'"),
    ],
)
def test_what_is_no_value_is_refused_with_the_sample(found: Any, words: str) -> None:
    own = calibrant.metric(direction="maximize", name="odd")(lambda _sample, _found: found)
    with pytest.raises(SettingsError) as error:
        ScoredBy(Plain(), own).evidence([Item("a", 0)], [0])  # type: ignore[arg-type]
    assert words in str(error.value)


def test_a_sample_without_a_value_counts_nothing() -> None:
    own = calibrant.metric(direction="maximize")(lambda sample, _found: None if sample.label else 0.5)
    samples = [Item("a", 0), Item("b", 1)]
    assert ScoredBy(Plain(), own).evidence(samples, [0, 0]).value == 0.5  # type: ignore[arg-type]
    assert math.isnan(ScoredBy(Plain(), own).evidence(samples[1:], [0]).value)  # type: ignore[arg-type]


def test_the_float_models_prediction_is_a_third_argument_where_it_is_asked_for() -> None:
    class Telling(Plain):
        def referring_to(self, _samples: Any, _predictions: Any) -> Any:
            return self

    own = calibrant.metric(direction="maximize", needs_reference=True)(
        lambda _sample, found, reference: float(found == reference)
    )
    samples = [Item("a", 0), Item("b", 1)]
    task = ScoredBy(Telling(), own)  # type: ignore[arg-type]
    assert task.needs_reference
    assert task.referring_to(samples, [5, 6]).evidence(samples, [5, 7]).value == 0.5
