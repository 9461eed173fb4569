"""Chance: distances between histograms, and how many images exceed what others reached."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.stages.coverage.distance import exceedance_probability, js_distance
from calibrant.stages.coverage.summary import summary_of

RNG = np.random.default_rng(0)


def counts(values: object) -> NDArray[np.int64]:
    found: NDArray[np.int64] = summary_of([np.asarray(values, np.float32)], []).counts
    return found


def test_equal_distributions_are_at_no_distance_whatever_their_size() -> None:
    one = counts(RNG.normal(size=1000))
    assert js_distance(one, one, 3.0) == 0
    assert js_distance(one, 7 * one, 3.0) == pytest.approx(0, abs=1e-7)


def test_disjoint_distributions_are_at_distance_one() -> None:
    assert js_distance(counts([1.0, 1.1]), counts([-1.0, 4.0]), 4.0) == pytest.approx(1)


def test_a_distance_counts_the_same_both_ways_and_keeps_the_triangle() -> None:
    a, b, c = (counts(RNG.normal(scale=scale, size=500)) for scale in (1, 1.5, 3))
    assert js_distance(a, b, 9) == pytest.approx(js_distance(b, a, 9))
    assert js_distance(a, c, 9) <= js_distance(a, b, 9) + js_distance(b, c, 9)


def test_half_of_one_and_half_of_another() -> None:
    # p = (1, 0), q = (1/2, 1/2): the divergence is H(3/4, 1/4) - H(1/2, 1/2) / 2 bits.
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert js_distance(counts([1.0]), counts([1.0, 2.0]), 2.0) == pytest.approx(np.sqrt(entropy - 0.5))


def test_what_rounds_to_zero_in_int8_is_one_value() -> None:
    small, smaller = counts([1e-4, 1.0]), counts([-1e-6, 1.0])
    assert js_distance(small, smaller, 1.0) == 0
    assert js_distance(small, smaller, 1e-3) > 0.5


def test_nothing_seen_is_at_no_distance() -> None:
    assert js_distance(counts([]), counts([1.0]), 1.0) == 0
    assert js_distance(counts([0.0]), counts([0.0]), 0.0) == 0


@given(st.integers(1, 30), st.integers(1, 30))
def test_exceedances_follow_their_exact_law(seen: int, new: int) -> None:
    # All orders of seen + new values are equally probable: k new ones on top leave the others to choose.
    for k in range(new + 1):
        exact = comb(seen + new - k, seen) / comb(seen + new, seen)
        assert exceedance_probability(seen, new, k) == pytest.approx(exact)


def test_one_new_image_exceeds_once_in_as_many_as_there_are() -> None:
    assert exceedance_probability(127, 1, 1) == pytest.approx(1 / 128)
