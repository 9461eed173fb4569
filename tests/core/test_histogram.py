"""The laws of the histogram: counts are exact, growth loses nothing, merging is a commutative monoid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.core.histogram import BINS, Histogram, empty
from calibrant.core.statistics import statistics_of

values = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False),
)
anchors = st.floats(2.0**-10, 2.0**10, width=32, allow_subnormal=False)


def of(array: NDArray[np.float32], anchor: float) -> Histogram:
    return statistics_of(array, anchor).histogram


def reference_counts(array: NDArray[np.float32], anchor: float, limit: float) -> NDArray[np.int64]:
    """The definition, in numpy: the float32 bin index under the smallest limit that holds the value."""
    index = np.full(array.shape, -1, np.int64)
    level, merged = anchor, round(np.log2(limit / anchor))
    while merged >= 0:
        fine = (np.abs(array) * (np.float32(BINS) / np.float32(level))).astype(np.int64)
        fits = (index < 0) & (np.abs(array) <= np.float32(level))
        index[fits] = np.minimum(fine, BINS - 1)[fits] >> merged
        level, merged = 2 * level, merged - 1
    return np.bincount(index, minlength=BINS)


@given(values, anchors)
def test_counts_are_those_of_the_definition(array: NDArray[np.float32], anchor: float) -> None:
    found = of(array, anchor)
    np.testing.assert_array_equal(found.counts, reference_counts(array, anchor, found.limit))
    assert found.total == array.size
    assert found.limit >= np.abs(array).max()


@given(values, values, anchors)
def test_merging_equals_counting_together_in_any_order(
    a: NDArray[np.float32], b: NDArray[np.float32], anchor: float
) -> None:
    together = of(np.concatenate([a, b]), anchor)
    for merged in (of(a, anchor).merge(of(b, anchor)), of(b, anchor).merge(of(a, anchor))):
        np.testing.assert_array_equal(merged.counts, together.counts)
        assert merged.limit == together.limit


@given(values, values, values, anchors)
def test_merging_is_associative(
    a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32], anchor: float
) -> None:
    one, two, three = (of(x, anchor) for x in (a, b, c))
    left, right = one.merge(two).merge(three), one.merge(two.merge(three))
    np.testing.assert_array_equal(left.counts, right.counts)
    assert left.limit == right.limit


@example(np.array([107, 108], np.float32), 107.0)  # 107 * (16384 / 214) is below 8192 in float32
@given(values, anchors)
def test_doubling_halves_the_resolution_and_keeps_the_counts(
    array: NDArray[np.float32], anchor: float
) -> None:
    found = of(array, anchor)
    doubled = found.doubled()
    assert doubled.limit == 2 * found.limit
    np.testing.assert_array_equal(doubled.counts, reference_counts(array, anchor, doubled.limit))


@given(values, anchors)
def test_eight_neighbours_make_one_of_tensorrts_bins(array: NDArray[np.float32], anchor: float) -> None:
    found = of(array, max(anchor, float(np.abs(array).max())))
    index = (np.abs(array) * (np.float32(2048) / np.float32(found.limit))).astype(np.int64)
    expected = np.bincount(np.minimum(index, 2047), minlength=2048)
    np.testing.assert_array_equal(found.coarse(2048), expected)


@given(st.permutations([1.0, 0.5, 2.0, 4.0, 3.0, 0.3, 2.0]))
def test_values_on_a_former_limit_count_alike_in_any_order(order: list[float]) -> None:
    whole = of(np.array(order, np.float32), 0.5)
    one_by_one = empty(0.5)
    for value in order:
        one_by_one = one_by_one.merge(of(np.array([value], np.float32), 0.5))
    np.testing.assert_array_equal(one_by_one.counts, whole.counts)
    assert whole.limit == 4.0


@pytest.mark.parametrize("seed", range(5))
def test_long_arrays_that_outgrow_their_limit_midway_are_counted_exactly(seed: int) -> None:
    """Several chunks, with values on former limits before and after each doubling."""
    rng = np.random.default_rng(seed)
    array = rng.choice(np.array([0.0, 0.1, 0.5, 1.0, 2.0, 3.7, 4.0, 8.0], np.float32), 20_000)
    array *= np.linspace(0.1, 1, array.size, dtype=np.float32).round(1)
    found = of(array, 0.5)
    np.testing.assert_array_equal(found.counts, reference_counts(array, 0.5, found.limit))
    pieces = [of(piece, 0.5) for piece in np.split(array, [100, 5000, 5001, 12_345])]
    merged = pieces[0]
    for piece in pieces[1:]:
        merged = merged.merge(piece)
    np.testing.assert_array_equal(merged.counts, found.counts)


def test_zeros_merge_with_any_anchor() -> None:
    zeros = statistics_of(np.zeros(5, np.float32)).histogram
    ones = of(np.ones(3, np.float32), 1.0)
    for merged in (zeros.merge(ones), ones.merge(zeros)):
        assert merged.total == 8
        assert merged.anchor == 1.0
        assert merged.counts[0] == 5


def test_different_anchors_do_not_merge() -> None:
    with pytest.raises(ValueError, match=r"anchors 1\.0 and 3\.0"):
        of(np.ones(1, np.float32), 1.0).merge(of(np.ones(1, np.float32), 3.0))


def test_an_empty_histogram_is_neutral() -> None:
    ones = of(np.ones(3, np.float32), 1.0)
    np.testing.assert_array_equal(empty().merge(ones).counts, ones.counts)
