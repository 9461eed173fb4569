from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.calibrators import mse
from calibrant.calibrators.kernels import squared_errors
from calibrant.calibrators.minmax import clipped_to
from calibrant.core.quantize import dequantized, encoding_of, quantized
from calibrant.core.statistics import statistics_of
from calibrant.core.types import QuantSpec, Range

INT8 = QuantSpec("int8")

pytestmark = pytest.mark.usefixtures("each_kernels")


def measured_error(values: NDArray[np.float32], threshold: float) -> float:
    encoding = encoding_of(Range(-threshold, threshold), INT8)
    back = dequantized(quantized(values, encoding), encoding)
    return float(((back.astype(np.float64) - values) ** 2).sum())


@pytest.mark.parametrize("degrees", [2, 3, 5, 100])
def test_no_other_threshold_is_measurably_better(degrees: int) -> None:
    values = np.random.default_rng(degrees).standard_t(degrees, size=200_000).astype(np.float32)
    chosen = mse(statistics_of(values), INT8).amax
    best = min(
        measured_error(values, t) for t in np.geomspace(np.abs(values).max() / 500, np.abs(values).max(), 300)
    )
    assert measured_error(values, chosen) <= 1.01 * best


@pytest.mark.parametrize("threshold", [0.5, 2.0, 4.0])
def test_the_integral_is_the_error_that_quantizing_makes(threshold: float) -> None:
    values = np.random.default_rng(0).normal(size=500_000).astype(np.float32)
    stats = statistics_of(values)
    found = squared_errors(stats.histogram.counts, stats.histogram.limit, np.array([threshold]), 127.0)[0]
    assert found == pytest.approx(measured_error(values, threshold), rel=0.03)


def test_a_compact_tensor_keeps_its_range() -> None:
    values = np.random.default_rng(1).uniform(-2, 2, size=100_000).astype(np.float32)
    assert mse(statistics_of(values), INT8).amax == pytest.approx(2, rel=0.03)


def test_zeros_need_no_range() -> None:
    assert mse(statistics_of(np.zeros(10, np.float32)), INT8) == Range(0.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 40, 5000]), st.floats(0.05, 6.0),
    st.sampled_from([QuantSpec("int8"), QuantSpec("uint8", symmetric=False)]),
)  # fmt: skip
def test_no_threshold_is_left_out_that_could_be_the_best(
    seed: int, size: int, power: float, spec: QuantSpec
) -> None:
    """What is chosen is what an integral for every threshold chooses."""
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal(size) * np.exp(power * rng.standard_normal(size))).astype(np.float32)
    stats = statistics_of(values)

    def errors(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        used = (spec.qmax - spec.qmin) * stats.amax / (max(stats.high, 0.0) - min(stats.low, 0.0))
        levels = spec.qmax if spec.symmetric else used
        return squared_errors(stats.histogram.counts, stats.histogram.limit, thresholds, levels)

    coarse = stats.amax * 2.0 ** (-np.arange(161) / 16)
    best = int(np.argmin(errors(coarse)))
    fine = np.linspace(coarse[min(best + 1, 160)], coarse[max(best - 1, 0)], 33)
    expected = float(fine[int(np.argmin(errors(fine)))])
    assert mse(stats, spec) == clipped_to(expected, stats, spec)
