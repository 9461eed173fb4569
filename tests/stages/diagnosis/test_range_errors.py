"""Errors from a histogram agree with quantizing the very values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.core.quantize import dequantized, encoding_of, quantized
from calibrant.core.statistics import statistics_of
from calibrant.core.types import QuantSpec, Range
from calibrant.stages.diagnosis.range_errors import (
    QuantizationError,
    bounds_of,
    decibels,
    quantization_error,
    shape_of,
)

INT8 = QuantSpec("int8", symmetric=True, narrow=True)  # a histogram does not know what only -128 can hold
UINT8 = QuantSpec("uint8", symmetric=False)
Values = NDArray[np.float32]


def drawn(kind: str, count: int = 200_000) -> Values:
    rng = np.random.default_rng(3)
    normal = rng.normal(0, 2, count)
    kinds = {
        "normal": normal,
        "relu": np.maximum(normal, 0),
        "silu": normal / (1 + np.exp(-normal)),
        "tail": rng.standard_t(3, count),
        "uniform": rng.uniform(-1, 1, count),
    }
    values: Values = kinds[kind].astype(np.float32)
    return values


def directly(values: Values, amax: float, spec: QuantSpec) -> tuple[QuantizationError, float]:
    """The same figures from the values themselves, and the total error."""
    low = -amax if spec.symmetric else max(-amax, float(values.min()))
    encoding = encoding_of(Range(low, min(amax, float(values.max())) if not spec.symmetric else amax), spec)
    integers = quantized(values, encoding)
    errors = (dequantized(integers, encoding) - values).astype(np.float64)
    beyond = np.abs(values) > max(abs(bound) for bound in bounds_of(encoding))
    used = len(np.unique(integers))
    return (
        QuantizationError(
            clipped=float(beyond.mean()),
            signal=float(np.square(values.astype(np.float64)).sum()),
            clipping=float(np.square(errors[beyond]).sum()),
            rounding=float(np.square(errors[~beyond]).sum()),
            dead_levels=1 - used / (spec.qmax - spec.qmin + 1),
        ),
        float(np.square(errors).sum()),
    )


@pytest.mark.parametrize("kind", ["normal", "relu", "silu", "tail", "uniform"])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.2])
def test_a_symmetric_range_errs_as_it_does_on_the_values(kind: str, share: float) -> None:
    values = drawn(kind)
    amax = share * float(np.abs(values).max())
    found = quantization_error(statistics_of(values), encoding_of(Range(-amax, amax), INT8))
    true, total = directly(values, amax, INT8)
    assert found.signal == pytest.approx(true.signal, rel=1e-3)
    assert found.clipped == pytest.approx(true.clipped, abs=2e-5)
    assert found.clipping == pytest.approx(true.clipping, rel=0.01, abs=1e-3 * total)
    assert found.rounding == pytest.approx(true.rounding, rel=0.02)
    assert found.dead_levels <= true.dead_levels + 1e-9
    if kind in {"relu", "uniform"}:  # elsewhere a magnitude may have occurred with one sign only
        assert found.dead_levels == pytest.approx(true.dead_levels, abs=0.02)


@pytest.mark.parametrize("kind", ["relu", "silu"])
def test_an_asymmetric_range_errs_as_it_does_on_the_values(kind: str) -> None:
    values = drawn(kind)
    amax = 0.5 * float(values.max())
    encoding = encoding_of(Range(float(values.min()), amax), UINT8)
    found = quantization_error(statistics_of(values), encoding)
    true, _ = directly(values, amax, UINT8)
    assert found.clipping == pytest.approx(true.clipping, rel=0.01)
    assert found.rounding == pytest.approx(true.rounding, rel=0.05)


@given(st.floats(0.01, 1.0), st.integers(0, 2**32 - 1))
def test_shares_are_shares(share: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 500).astype(np.float32)
    amax = share * float(np.abs(values).max())
    found = quantization_error(statistics_of(values), encoding_of(Range(-amax, amax), INT8))
    assert 0 <= found.clipped <= 1
    assert 0 <= found.clipping_share <= 1
    assert 0 <= found.dead_levels < 1
    assert found.clipping >= 0
    assert found.rounding >= 0


def test_a_narrower_range_clips_more_and_rounds_less() -> None:
    stats = statistics_of(drawn("tail"))
    errors = [
        quantization_error(stats, encoding_of(Range(-amax, amax), INT8))
        for amax in (stats.amax, stats.amax / 4, stats.amax / 16)
    ]
    assert errors[0].clipping < errors[1].clipping < errors[2].clipping
    assert errors[0].rounding > errors[1].rounding > errors[2].rounding


def test_zeros_have_neither_error_nor_shape() -> None:
    stats = statistics_of(np.zeros(10, np.float32))
    found = quantization_error(stats, encoding_of(Range(0, 0), INT8))
    assert (found.clipping, found.rounding, found.clipping_share) == (0, 0, 0)
    assert found.dead_levels == pytest.approx(254 / 255)
    assert shape_of(stats) is None


def test_kurtosis_is_that_of_the_values() -> None:
    for kind, expected in (("normal", 3.0), ("uniform", 1.8)):
        shape = shape_of(statistics_of(drawn(kind)))
        assert shape is not None
        assert shape.kurtosis == pytest.approx(expected, rel=0.02)


def test_the_tail_is_the_reach_beyond_nearly_all_values() -> None:
    values = np.concatenate([np.linspace(-1, 1, 100_000), [50]]).astype(np.float32)
    shape = shape_of(statistics_of(values))
    assert shape is not None
    assert shape.tail == pytest.approx(50, rel=0.05)


def test_decibels_are_of_powers() -> None:
    assert decibels(100, 1) == pytest.approx(20)
    assert decibels(1, 0) is None
    assert decibels(0, 1) is None
    assert not math.isnan(decibels(1, 1) or 0.0)
