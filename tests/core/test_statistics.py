from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.statistics import Accumulator, statistics_of

pytestmark = pytest.mark.usefixtures("each_kernels")

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
