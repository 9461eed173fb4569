from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.quantize import dequantized, encoding_of, on_axis, quantized, weight_encoding
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import PerBlock, PerChannel, PerTensor, QuantSpec, Range

INT8 = QuantSpec("int8")
UINT8 = QuantSpec("uint8", symmetric=False)
finite = st.floats(-1000, 1000, width=32)


def test_scale_is_the_threshold_over_127_in_float32() -> None:
    encoding = encoding_of(Range(-1.0, 3.0), INT8)
    assert encoding.scale.dtype == np.float32
    assert encoding.scale == np.float32(3.0) / np.float32(127)
    assert encoding.zero_point == 0


def test_halves_round_to_even_and_values_saturate() -> None:
    encoding = encoding_of(Range(-127.0, 127.0), INT8)
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 500, -500], np.float32)
    np.testing.assert_array_equal(quantized(values, encoding), [0, 2, 2, 0, -2, 127, -128])


@given(finite, finite, st.sampled_from([INT8, UINT8]))
def test_values_inside_the_range_come_back_within_half_a_step(a: float, b: float, spec: QuantSpec) -> None:
    low, high = sorted((a, b))
    encoding = encoding_of(Range(low, high), spec)
    inside = np.linspace(low, high, 50, dtype=np.float32)
    back = dequantized(quantized(inside, encoding), encoding)
    assert np.abs(back - inside).max() <= 0.5001 * float(encoding.scale) * (2 if spec is UINT8 else 1) + 1e-4


@given(finite, finite)
def test_zero_is_stored_exactly(a: float, b: float) -> None:
    for spec in (INT8, UINT8):
        encoding = encoding_of(Range(min(a, b), max(a, b)), spec)
        assert dequantized(quantized(np.zeros(1, np.float32), encoding), encoding)[0] == 0


def test_an_all_zero_tensor_gets_a_positive_scale() -> None:
    assert encoding_of(Range(0.0, 0.0), INT8).scale == 1.0


@given(hnp.arrays(np.float32, (3, 4, 2), elements=finite), st.sampled_from([0, 1, 2, -1]))
def test_weights_use_the_whole_range_of_every_channel(weights: NDArray[np.float32], axis: int) -> None:
    encoding = weight_encoding(weights, on_axis(TENSORRT.weights, axis))
    stored = quantized(weights, encoding)
    assert encoding.scale.shape == (weights.shape[axis],)
    assert (encoding.scale > 0).all()
    assert np.abs(stored).max() <= 127
    for index in range(weights.shape[axis]):
        channel = np.abs(weights.take(index, axis))
        if channel.max() > 1e-30:
            assert np.abs(stored.take(index, axis)).max() == 127


def test_specs_know_their_limits() -> None:
    assert (INT8.qmin, INT8.qmax) == (-128, 127)
    assert (dataclasses.replace(INT8, narrow=True).qmin, UINT8.qmax) == (-127, 255)


def test_on_axis_leaves_per_tensor_specs() -> None:
    assert on_axis(INT8, 3).granularity == PerTensor()
    assert on_axis(TENSORRT.weights, 3).granularity == PerChannel(3)


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_four_bits_hold_sixteen_levels(dtype: str) -> None:
    spec = QuantSpec(dtype)
    assert spec.qmax - spec.qmin == 15


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_blocks_have_scales_of_their_own(axis: int) -> None:
    weights = np.random.default_rng(5).standard_normal((6, 8)).astype(np.float32) ** 3
    spec = QuantSpec("int4", granularity=PerBlock(axis, 2), narrow=True)
    encoding = weight_encoding(weights, spec)
    assert encoding.scale.shape == encoding.zero_point.shape == ((3, 8) if axis == 0 else (6, 4))
    back = dequantized(quantized(weights, encoding), encoding)
    for index in range(weights.shape[axis] // 2):
        block = slice(2 * index, 2 * index + 2)
        own, mine = (array[block] if axis == 0 else array[:, block] for array in (weights, back))
        amax = np.abs(own).max(axis=axis, keepdims=True)
        assert (np.abs(own - mine) <= amax / 14 * 1.0001).all()


def test_blocks_that_do_not_divide_a_weight_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"blocks of 3 do not divide axis 1 of shape \(6, 8\)"):
        weight_encoding(np.ones((6, 8), np.float32), QuantSpec("int4", granularity=PerBlock(1, 3)))


def test_an_activation_is_encoded_by_one_range() -> None:
    with pytest.raises(SettingsError, match=r"set its granularity to PerTensor\(\)"):
        encoding_of(Range(-1, 1), QuantSpec("int8", granularity=PerBlock(1, 32)))
