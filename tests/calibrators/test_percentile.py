from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.calibrators import legacy, minmax, percentile
from calibrant.core.errors import SettingsError
from calibrant.core.statistics import statistics_of
from calibrant.core.types import QuantSpec

INT8 = QuantSpec("int8")
VALUES = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
STATS = statistics_of(VALUES)
BIN = STATS.histogram.limit / 16384


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9, 99.99])
def test_the_threshold_is_numpys_percentile_to_within_a_bin(percent: float) -> None:
    expected = np.percentile(np.abs(VALUES), percent)
    assert percentile(percent)(STATS, INT8).amax == pytest.approx(expected, abs=1.01 * BIN)


@given(st.floats(0.1, 100), st.floats(0.1, 100))
def test_more_percent_never_keep_less(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert percentile(low)(STATS, INT8).amax <= percentile(high)(STATS, INT8).amax


def test_all_percent_are_minmax() -> None:
    assert percentile(100)(STATS, INT8) == minmax(STATS, INT8)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 0.9999])
def test_legacy_is_the_upper_edge_of_the_2048th_that_reaches_the_quantile(quantile: float) -> None:
    width = STATS.histogram.limit / 2048
    edges = legacy(quantile)(STATS, INT8).amax / width
    assert edges == int(edges)
    magnitudes = np.abs(VALUES)
    assert (magnitudes < edges * width).mean() >= quantile > (magnitudes < (edges - 1) * width).mean()


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan")])
def test_percentages_that_make_no_sense_are_refused(percent: float) -> None:
    with pytest.raises(SettingsError, match=r"percentile:99\.99"):
        percentile(percent)


@pytest.mark.parametrize("quantile", [0, 1.5])
def test_quantiles_that_make_no_sense_are_refused(quantile: float) -> None:
    with pytest.raises(SettingsError, match=r"legacy:0\.9999"):
        legacy(quantile)
