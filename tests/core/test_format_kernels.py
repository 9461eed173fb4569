"""The compiled kernels of the formats give numpy's bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.core import format_kernels
from calibrant.core.elements import ELEMENTS, ElementType

compiled = pytest.importorskip("calibrant.core._format_kernels")
SMALL = [each for each in ELEMENTS.values() if each.bits <= 8]


@st.composite
def rows(draw: st.DrawFn) -> NDArray[np.float32]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 70))
    values = rng.standard_normal(shape) ** draw(st.sampled_from([1, 3])) * 10.0 ** draw(st.integers(-3, 3))
    halves = np.rint(values * 2) / 2
    chosen = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.5])), halves, values)
    return chosen.astype(np.float32)


@pytest.mark.parametrize("element", SMALL, ids=lambda element: element.name)
@settings(max_examples=40)
@given(values=rows(), seed=st.integers(0, 99), narrow=st.booleans())
def test_codes_are_numpys(element: ElementType, values: NDArray[np.float32], seed: int, narrow: bool) -> None:
    rng = np.random.default_rng(seed)
    steps = (2.0 ** rng.integers(-6, 3, len(values)) * rng.choice([1, 1.3], len(values))).astype(np.float32)
    zeros, bases = np.zeros_like(steps), np.zeros_like(steps)
    if element.is_integer:
        zeros = rng.integers(int(element.lowest), int(element.highest), len(values)).astype(np.float32)
        bases = rng.choice([0, -0.7], len(values)).astype(np.float32)
    lowest = element.lowest + (1 if narrow and element.is_integer else 0)
    arguments = values, steps, zeros, bases, element, lowest
    expected = format_kernels.encoded_by_numpy(*arguments)
    found = format_kernels._encoded_compiled(*arguments)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@given(values=rows(), bad=st.sampled_from([None, np.nan, np.inf, -np.inf]))
def test_extremes_are_numpys(values: NDArray[np.float32], bad: float | None) -> None:
    if bad is not None:
        values[-1, values.shape[1] // 2] = bad
    for found, expected in zip(
        format_kernels._extremes_compiled(values), format_kernels.extremes_by_numpy(values), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_shapes_that_do_not_fit_are_refused() -> None:
    values, short = np.ones((3, 4), np.float32), np.ones(2, np.float32)
    with pytest.raises(ValueError, match="lows and highs"):
        compiled.extremes(values, short, short)
    with pytest.raises(ValueError, match="steps, zeros and bases"):
        compiled.encode(values, short, short, short, -8, 7, -1, 0, 4, np.empty((3, 4), np.int8))
    with pytest.raises(TypeError, match="codes must be an array of int8"):
        compiled.encode(values, *[np.ones(3, np.float32)] * 3, -8, 7, -1, 0, 4, np.empty((3, 4), np.uint8))


def test_rows_of_a_mapped_file_may_lie_anywhere() -> None:
    """Weights in a file begin at any byte: unaligned, and not to be written."""
    values = np.arange(12, dtype=np.float32)
    rows = np.frombuffer(b"x" + values.tobytes(), np.float32, offset=1).reshape(3, 4)
    assert not rows.flags.aligned
    low, high = format_kernels.extremes(rows)
    np.testing.assert_array_equal(low, [0, 4, 8])
    np.testing.assert_array_equal(high, [3, 7, 11])


def test_arrays_that_name_their_byte_order_are_taken() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    named = np.frombuffer(rows.tobytes(), np.dtype(np.float32).newbyteorder("<")).reshape(3, 4)
    assert memoryview(named.data).format == "<f"
    low, high = format_kernels.extremes(named)
    assert low.tolist() == [0, 4, 8]
    assert high.tolist() == [3, 7, 11]
