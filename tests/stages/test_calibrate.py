"""What calibrators choose for all tensors of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import SettingsError
from calibrant.core.schemes import TENSORRT
from calibrant.core.statistics import TensorStatistics, statistics_of
from calibrant.core.types import QuantSpec, Range, Statistics
from calibrant.stages.calibrate import RangeChoices, ranges_from

TIES = {"pooled": "x"}


@pytest.fixture
def statistics() -> Statistics:
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(scale=scale, size=1000) for name, scale in (("x", 1), ("pooled", 3))}
    return Statistics(
        "", ("a",), {name: statistics_of(values.astype(np.float32)) for name, values in tensors.items()}
    )


def test_a_function_with_two_names_is_asked_once_for_each_tensor(statistics: Statistics) -> None:
    asked: list[float] = []

    def half(stats: TensorStatistics, _spec: QuantSpec) -> Range:
        asked.append(stats.amax)
        return Range(-stats.amax / 2, stats.amax / 2)

    tied, free = NamedCalibrator("tied", half), NamedCalibrator("free", half, pool_ties=False)
    choices = RangeChoices(statistics, TENSORRT.activations, TIES)
    found = [choices.of(calibrator) for calibrator in (tied, free, tied)]
    assert len(asked) == len(statistics.tensors)
    assert found == [ranges_from(statistics, c, TENSORRT.activations, TIES) for c in (tied, free, tied)]
    assert found[0]["pooled"] == found[0]["x"] == found[1]["x"] != found[1]["pooled"]


def test_a_function_that_fails_is_told_under_each_of_its_names(statistics: Statistics) -> None:
    def broken(stats: TensorStatistics, spec: QuantSpec) -> Range:
        raise ZeroDivisionError("by zero")

    choices = RangeChoices(statistics, TENSORRT.activations, {})
    for name in ("one", "other"):
        with pytest.raises(SettingsError, match=f"calibrator {name} failed on 'x': ZeroDivisionError"):
            choices.of(NamedCalibrator(name, broken))


@pytest.mark.parametrize("returned", [3, None, (0.0, 1.0)])
def test_what_is_no_range_is_told_in_a_sentence(statistics: Statistics, returned: Any) -> None:
    mine = NamedCalibrator("mine", lambda _stats, _spec: returned)
    with pytest.raises(SettingsError, match=r"returned .* for 'x', which is no range; return calibr"):
        ranges_from(statistics, mine, TENSORRT.activations, {})
