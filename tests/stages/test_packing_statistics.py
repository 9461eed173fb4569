"""Packed statistics are the statistics, to the last bit, however large their counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.histogram import BINS, Histogram
from calibrant.core.statistics import TensorStatistics
from calibrant.stages.remote.packing import PackedStatistics

LARGEST = 2**62


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, BINS - 1), st.integers(0, LARGEST), max_size=5),
            st.floats(1e-6, 1e6),
            st.integers(0, 8),
            st.floats(-1e6, 1e6),
        ),
        max_size=3,
    )
)
def test_what_is_packed_comes_out_again(
    drawn: list[tuple[dict[int, int], float, int, float]],
) -> None:
    tensors = {}
    for index, (filled, anchor, doublings, low) in enumerate(drawn):
        counts = np.zeros(BINS, np.int64)
        for position, count in filled.items():
            counts[position] = count
        histogram = Histogram(counts, anchor, anchor * 2**doublings)
        tensors[f"t{index}"] = TensorStatistics(histogram, low, low + 1)
    found = PackedStatistics.of(tensors).unpacked()
    assert list(found) == list(tensors)
    for name, stats in tensors.items():
        own = found[name]
        assert own.histogram.counts.dtype == np.int64
        np.testing.assert_array_equal(own.histogram.counts, stats.histogram.counts)
        assert (own.histogram.anchor, own.histogram.limit) == (stats.histogram.anchor, stats.histogram.limit)
        assert (own.low, own.high) == (stats.low, stats.high)
