"""The compiled kernels of the methods give numpy's bits, but for the order of sums where it says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.core.elements import ELEMENTS
from calibrant.core.format_kernels import description
from calibrant.methods import numpy_kernels

compiled = pytest.importorskip("calibrant.methods._kernels")
NAMES = ["int3", "int4", "uint4", "int8", "e4m3", "e2m1"]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, ...]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    element = ELEMENTS[draw(st.sampled_from(NAMES))]
    rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 70))
    values = rng.standard_normal((rows, width)).astype(np.float32)
    steps = rng.uniform(0.05, 0.4, (rows, width)).astype(np.float32)
    zeros, bases = np.zeros_like(steps), np.zeros_like(steps)
    if element.is_integer:
        zeros = rng.integers(int(element.lowest), int(element.highest), steps.shape).astype(np.float32)
        bases = rng.choice([0, -0.5], steps.shape).astype(np.float32)
    some = rng.standard_normal((2 * width, width)).astype(np.float32)
    between = np.ascontiguousarray(some.T @ some / np.float32(2 * width))
    return rng, values, steps, zeros, bases, between, description(element, element.lowest)


@settings(max_examples=60)
@given(case=cases())
def test_squared_errors_are_numpys(case: tuple[Any, ...]) -> None:
    rng, values, steps, zeros, bases = case[:5]
    limits: tuple[float, float, int, int] = case[6]
    importance = rng.uniform(0, 2, values.shape[1] * 3).astype(np.float32)
    step, zero, base = (np.ascontiguousarray(each[:, 0]) for each in (steps, zeros, bases))
    found, expected = (np.empty(len(values), np.float32) for _ in range(2))
    compiled.squared_errors(values, importance, step, zero, base, *limits, found)
    numpy_kernels.squared_errors(values, importance, step, zero, base, *limits, expected)
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60)
@given(case=cases())
def test_rounding_in_turn_is_numpys(case: tuple[Any, ...]) -> None:
    _, values, steps, zeros, bases, between, limits = case
    results = []
    for kernels in (compiled, numpy_kernels):
        moved, lost = values * np.float32(1.1), np.empty_like(values)
        kernels.round_in_turn(values, moved, steps, zeros, bases, between, *limits, lost)
        results.append((moved, lost))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=60)
@given(case=cases())
def test_descending_is_numpys(case: tuple[Any, ...]) -> None:
    _, values, steps, zeros, bases, between, limits = case
    results = []
    for kernels in (compiled, numpy_kernels):
        stored, slope, lost = values.copy(), values @ between, np.empty_like(values)
        kernels.descend(stored, slope, steps, zeros, bases, between, *limits, lost)
        results.append((stored, slope, lost))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_shapes_that_do_not_fit_are_refused() -> None:
    values, square = np.ones((3, 4), np.float32), np.ones((4, 4), np.float32)
    limits = (-8.0, 7.0, -1, 0)
    with pytest.raises(ValueError, match="all must have the shape of the first"):
        compiled.round_in_turn(
            values, values.copy(), values, values, values, square[:3, :3].copy(), *limits, values
        )
    few, one = np.ones(3, np.float32), np.ones(1, np.float32)
    with pytest.raises(ValueError, match="steps, zeros, bases and errors"):
        compiled.squared_errors(values, few, few, few, few, *limits, one)
