from __future__ import annotations

from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.histogram import BINS, SMALLEST_ANCHOR
from calibrant.core.statistics import Accumulator, statistics_of

pytestmark = pytest.mark.usefixtures("each_kernels")

# Half of the last but one is rounded down into the bin below; what is next to half of the last, up.
ANCHORS = [1.0, 0.25, 3.0, SMALLEST_ANCHOR, 1.0006226301193237, 1.562080979347229]
arrays = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-100, 100, width=32))


@given(st.lists(arrays, min_size=1, max_size=5))
def test_a_stream_equals_its_samples_merged(samples: list[NDArray[np.float32]]) -> None:
    stream = Accumulator()
    for sample in samples:
        stream.observe(sample)
    whole = stream.statistics()
    parts = [statistics_of(sample, whole.histogram.anchor) for sample in samples]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    np.testing.assert_array_equal(merged.histogram.counts, whole.histogram.counts)
    assert (merged.low, merged.high) == (whole.low, whole.high)


def bins_of(values: NDArray[np.float32], anchor: float, limit: float) -> NDArray[np.int64]:
    """A value counts where the first histogram that holds it has it; doubling merges bins in pairs."""
    counts = np.zeros(BINS, np.int64)
    for magnitude in np.abs(values):
        first = anchor
        while magnitude > first:
            first *= 2
        index = min(int(magnitude * (np.float32(BINS) / np.float32(first))), BINS - 1)
        counts[index // round(limit / first)] += 1
    return counts


@st.composite
def values_on_former_limits(draw: st.DrawFn) -> tuple[float, list[NDArray[np.float32]]]:
    anchor = draw(st.sampled_from(ANCHORS) | st.floats(2**-90, 2**60, width=32))
    steps = st.tuples(st.integers(-6, 6), st.integers(-2, 2), st.sampled_from([-1, 0, 1, 1]))
    drawn = draw(st.lists(st.lists(steps, min_size=1, max_size=9), min_size=1, max_size=6))
    samples = []
    for sample in drawn:
        limits = np.array([anchor * 2.0**doublings for doublings, _, _ in sample], np.float32)
        moved = (limits.view(np.int32) + [ulps for _, ulps, _ in sample]).astype(np.int32).view(np.float32)
        signed = moved * np.array([sign for _, _, sign in sample], np.float32)
        samples.append(np.repeat(signed, draw(st.sampled_from([1, 1, 700]))))
    return anchor, samples


@given(values_on_former_limits(), st.randoms())
def test_values_on_former_limits_lie_where_those_had_them(
    drawn: tuple[float, list[NDArray[np.float32]]], random: Random
) -> None:
    anchor, samples = drawn
    for _ in range(2):
        stream = Accumulator(anchor)
        for sample in samples:
            stream.observe(*np.array_split(sample, 3))
        found = stream.statistics().histogram
        expected = bins_of(np.concatenate(samples), anchor, found.limit)
        np.testing.assert_array_equal(found.counts, expected)
        random.shuffle(samples)


@given(st.lists(arrays, min_size=1, max_size=6), st.integers(1, 60))
def test_cells_that_fill_up_lose_nothing(samples: list[NDArray[np.float32]], most: int) -> None:
    plain, settling = Accumulator(1.0), Accumulator(1.0)
    for sample in samples:
        plain.observe(sample)
    with patch("calibrant.core.statistics.MOST_COUNTED", most):
        for sample in samples:
            settling.observe(sample)
    expected, found = plain.statistics(), settling.statistics()
    np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
    assert (found.low, found.high, found.histogram.limit) == (
        expected.low, expected.high, expected.histogram.limit,
    )  # fmt: skip


@given(arrays)
def test_low_and_high_are_the_signed_extremes(array: NDArray[np.float32]) -> None:
    stats = statistics_of(array.reshape(1, -1, 1))
    assert stats.low == array.min()
    assert stats.high == array.max()
    assert stats.amax == np.abs(array).max()
    assert stats.count == array.size


def test_the_first_sample_anchors_the_bins() -> None:
    stream = Accumulator()
    stream.observe(np.array([3.0], np.float32))
    stream.observe(np.array([7.0, -1.0], np.float32))
    assert stream.statistics().histogram.anchor == 3.0
    assert stream.statistics().histogram.limit == 12.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_and_counted(bad: float) -> None:
    values = np.ones(100, np.float32)
    values[17] = bad
    for before in ([], [np.ones(4, np.float32)], [np.full(4, -3, np.float32)]):
        stream = Accumulator()
        for good in before:
            stream.observe(good)
        with pytest.raises(NumericsError, match="1 of 100 values"):
            stream.observe(values)


def test_nothing_seen_is_an_error() -> None:
    with pytest.raises(EmptyStatisticsError):
        Accumulator().statistics()
    empty = Accumulator()
    empty.observe(np.zeros((0, 3), np.float32))
    with pytest.raises(EmptyStatisticsError):
        empty.statistics()


def test_observing_does_not_keep_the_array() -> None:
    stream, values = Accumulator(), np.ones(4, np.float32)
    stream.observe(values)
    values[:] = 50
    assert stream.statistics().amax == 1.0
