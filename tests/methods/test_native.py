"""A weight that came from a format is recognised, and stored again without loss."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.core.elements import BF16, E4M3, F16, INT4, INT8, UINT4, FloatArray
from calibrant.core.formats import PerBlock, PerChannel, decode
from calibrant.methods.native import native_encoding


def _scales(shape: tuple[int, int]) -> FloatArray:
    return BF16.round(np.random.default_rng(2).uniform(0.01, 0.1, shape).astype(np.float32))


def _blocks(low: int, high: int, size: int = 32) -> FloatArray:
    numbers = np.random.default_rng(1).integers(low, high + 1, (32, 256 // size, size))
    numbers[..., 0], numbers[..., 1] = high, low
    return (numbers * _scales((32, 256 // size))[..., None]).reshape(32, 256).astype(np.float32)


def test_kimis_grid_of_fifteen_levels_is_recognised() -> None:
    weight = _blocks(-7, 7)
    found = native_encoding(weight)
    assert found is not None
    assert (found.format.element, found.format.granularity, found.format.scale_type) == (
        INT4, PerBlock(-1, 32), BF16,
    )  # fmt: skip
    np.testing.assert_array_equal(decode(found), weight)


def test_sixteen_levels_are_recognised() -> None:
    found = native_encoding(_blocks(-8, 7, 64))
    assert found is not None
    assert (found.format.element, found.format.granularity) == (INT4, PerBlock(-1, 64))


def test_eight_bits_a_channel_are_recognised() -> None:
    found = native_encoding(_blocks(-127, 127, 256))
    assert found is not None
    assert (found.format.element, found.format.granularity) == (INT8, PerChannel(-2))


def test_minima_of_q4_1_are_recognised() -> None:
    numbers = np.random.default_rng(1).integers(0, 16, (32, 8, 32))
    numbers[..., 0], numbers[..., 1] = 0, 15
    scale = F16.round(
        np.random.default_rng(2).integers(1, 64, (32, 8, 1)).astype(np.float32) / np.float32(1024)
    )
    low = F16.round(
        -np.random.default_rng(3).integers(1, 512, (32, 8, 1)).astype(np.float32) / np.float32(1024)
    )
    weight = (numbers.astype(np.float32) * scale + low).reshape(32, 256)
    found = native_encoding(weight)
    assert found is not None
    assert (found.format.element, found.format.minimum) == (UINT4, True)
    np.testing.assert_array_equal(decode(found), weight)


def test_floats_of_eight_bits_are_recognised() -> None:
    codes = np.random.default_rng(1).integers(0, 126, (32, 256)).astype(np.uint8)
    codes[:, 0] = 126
    found = native_encoding(E4M3.values(codes) * np.exp2(np.arange(32) % 5 - 9)[:, None].astype(np.float32))
    assert found is not None
    assert (found.format.element, found.format.granularity) == (E4M3, PerChannel(-2))


@pytest.mark.parametrize("seed", range(3))
def test_trained_weights_have_no_grid(seed: int) -> None:
    weight = np.random.default_rng(seed).standard_normal((32, 256)).astype(np.float32)
    assert native_encoding(weight) is None
