"""Ranges for targets that store zero points: ordered, within what was seen, and zero is always exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.calibrators import calibrator_named
from calibrant.core.quantize import dequantized, encoding_of, quantized
from calibrant.core.schemes import ONNXRUNTIME, OPENVINO
from calibrant.core.statistics import statistics_of

NAMES = ("minmax", "mse", "entropy2", "legacy", "percentile:99.9")
SPEC = ONNXRUNTIME.activations
VALUES = hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e4, 1e4, width=32))


def silu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = (x / (1 + np.exp(-x))).astype(np.float32)
    return values


@pytest.mark.parametrize("name", NAMES)
@given(values=VALUES)
def test_zero_is_exact_and_ranges_are_ordered(name: str, values: np.ndarray) -> None:
    stats = statistics_of(values)
    chosen = calibrator_named(name).calibrate(stats, SPEC)
    assert stats.low <= chosen.low <= chosen.high <= stats.high or chosen.low == chosen.high
    encoding = encoding_of(chosen, SPEC)
    assert 0 <= int(encoding.zero_point) <= 255
    zero = np.zeros(1, np.float32)
    assert dequantized(quantized(zero, encoding), encoding)[0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_silus_low_side_stays_and_takes_few_steps(name: str) -> None:
    values = silu(np.random.default_rng(5).normal(0, 4, 50_000).astype(np.float32))
    chosen = calibrator_named(name).calibrate(statistics_of(values), SPEC)
    assert chosen.low == pytest.approx(-0.2785, abs=1e-3)
    assert chosen.high > 5
    assert int(encoding_of(chosen, SPEC).zero_point) < 15


@pytest.mark.parametrize("name", NAMES)
def test_after_a_relu_all_steps_are_positive(name: str) -> None:
    values = np.maximum(np.random.default_rng(6).normal(size=10_000), 0).astype(np.float32)
    encoding = encoding_of(calibrator_named(name).calibrate(statistics_of(values), SPEC), SPEC)
    assert int(encoding.zero_point) == 0


def test_both_targets_store_activations_alike() -> None:
    assert ONNXRUNTIME.activations == OPENVINO.activations
