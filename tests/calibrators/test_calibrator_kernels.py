"""The compiled searches choose what numba's choose, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

compiled = pytest.importorskip("calibrant.calibrators._kernels")
numba = pytest.importorskip("calibrant.calibrators.numba_kernels")


def counts_of(some: list[int], spread: int, size: int) -> NDArray[np.int64]:
    repeated = np.repeat(np.array(some, np.int64), spread)[:size]
    return np.pad(repeated, (0, size - len(repeated)))


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 10**9) | st.just(0), max_size=200),
    st.integers(1, 64), st.sampled_from([2, 100, 128, 129, 300, 2048]),
)  # fmt: skip
def test_the_search_of_least_divergence_is_numbas(some: list[int], spread: int, size: int) -> None:
    counts = counts_of(some, spread, size)
    assert compiled.bins_of_least_divergence(counts) == numba.bins_of_least_divergence(counts)


@given(
    st.lists(st.integers(0, 10**9), max_size=50), st.integers(1, 8), st.floats(0, 1e30), st.floats(0, 1e4),
    arrays(np.float64, st.integers(0, 19), elements=st.floats(0, 1e30) | st.floats(0, 1)),
)  # fmt: skip
def test_squared_errors_are_numbas(
    some: list[int], spread: int, limit: float, levels: float, thresholds: NDArray[np.float64]
) -> None:
    """The bits of NaN aside, which no processor promises."""
    counts = counts_of(some, spread, 64)
    ours, theirs = (k.squared_errors(counts, limit, thresholds, levels) for k in (compiled, numba))
    assert np.isnan(ours).tolist() == np.isnan(theirs).tolist()
    assert ours[~np.isnan(ours)].tobytes() == theirs[~np.isnan(theirs)].tobytes()


def test_wrong_arguments_are_refused() -> None:
    counts = np.ones(2048, np.int64)
    with pytest.raises(ValueError, match="counts must have 2"):
        compiled.bins_of_least_divergence(counts[:1])
    with pytest.raises(TypeError, match="counts must be an array of int64"):
        compiled.bins_of_least_divergence(counts.astype(np.float64))
    with pytest.raises(TypeError, match="thresholds must be an array of float64"):
        compiled.squared_errors(counts, 1.0, np.ones(3, np.float32), 127.0)
    with pytest.raises(ValueError, match="contiguous"):
        compiled.squared_errors(counts[::2], 1.0, np.ones(3), 127.0)
