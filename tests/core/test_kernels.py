"""The compiled kernels count what numba's count, to the last cell, and refuse what they cannot read."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibrant.core import format_kernels
from calibrant.core.cells import CELLS, KEY_ABOVE_ALL, KEY_BELOW_ALL, LANES
from calibrant.core.histogram import BINS, SMALLEST_ANCHOR

compiled = pytest.importorskip("calibrant.core._kernels")
numba = pytest.importorskip("calibrant.core.numba_kernels")

LIMITS = st.floats(SMALLEST_ANCHOR, 2.0**100, width=32) | st.sampled_from([0.0, 1.0, 3.0e38])
# Half of one counts in the bin that it begins, of the third in the bin below, of the last its neighbour, too.
ANCHORS = [1.0, 2.0**-9, 1.0006226301193237, 1.562080979347229]
ANY_FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan])


def counted(
    kernels: Any, values: NDArray[np.float32], start: int, anchor: float, limit: float, hot: int
) -> tuple[int, bytes, list[int]]:
    cells = np.zeros(CELLS, np.uint32)
    keys = np.array([KEY_ABOVE_ALL, KEY_BELOW_ALL], np.int64)
    bounds = np.float32(anchor), np.float32(limit)
    reached = kernels.count_magnitudes(values, start, *bounds, hot, cells, keys)
    return reached, cells.tobytes(), keys.tolist()


def within(limit: float, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32) * np.float32(limit)


@given(
    arrays(np.float32, st.integers(0, 40), elements=ANY_FLOATS),
    st.integers(0, 5000), st.integers(0, 50), LIMITS, st.integers(0, BINS - 1),
)  # fmt: skip
@example(np.array([np.nan], np.float32), 4096, 0, 1.0, 0)
@example(np.array([-1.0, 1.0], np.float32), 0, 0, 1.0, BINS - 1)
def test_counting_gives_numbas_cells(
    some: NDArray[np.float32], more: int, start: int, limit: float, hot: int
) -> None:
    """``more`` values within the limit go before, so that there are several chunks."""
    values = np.concatenate([within(limit, more), some])
    what = values, start, limit, limit, hot
    assert counted(compiled, *what) == counted(numba, *what)


@pytest.mark.parametrize("sign", [-1, 1])
@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(0, width=32)), st.integers(0, 3000))
def test_extremes_of_one_sign_are_numbas(sign: int, some: NDArray[np.float32], more: int) -> None:
    values = np.concatenate([np.abs(within(1, more)) + np.float32(0.5), some]) * np.float32(sign)
    what = values, 0, 1.5, 1.5, 0
    assert counted(compiled, *what) == counted(numba, *what)


@given(
    arrays(np.float32, st.integers(0, 60), elements=ANY_FLOATS),
    st.integers(0, 3000), st.floats(SMALLEST_ANCHOR, 2.0**60, width=32) | st.sampled_from(ANCHORS),
    st.integers(0, 16), st.integers(0, BINS - 1) | st.sampled_from([2**i for i in range(14)]),
)  # fmt: skip
def test_values_on_former_limits_lie_where_numbas_do(
    some: NDArray[np.float32], more: int, anchor: float, doublings: int, hot: int
) -> None:
    limit = np.float32(anchor) * np.float32(2**doublings)
    edges = limit / np.float32(2) ** np.arange(20, dtype=np.float32)
    around = [np.nextafter(edges, np.float32(0)), edges, -edges, np.nextafter(edges, np.float32(np.inf))]
    some = some[np.abs(some) <= limit]  # what exceeds it would end the counting
    filled = within(float(limit), more)
    values = np.concatenate([filled, some, *around[:3], around[3][1:], filled])
    what = values, 0, anchor, float(limit), hot
    found = counted(compiled, *what)
    assert found[0] == values.size
    assert found == counted(numba, *what)


@pytest.mark.parametrize("limit", [np.nan, -1.0, np.inf, 1e-45])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_a_limit_that_is_none_writes_into_no_strange_cell(limit: float, value: float) -> None:
    values = np.full(100, value, np.float32)
    for anchor in (0.0, -1.0, np.nan, limit):
        _, cells, _ = counted(compiled, values, 0, anchor, limit, 7)
        assert np.frombuffer(cells, np.uint32).sum(dtype=np.uint32) in {0, 100}


def test_threads_count_at_once() -> None:
    values = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    limit = float(np.abs(values).max())
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: counted(compiled, values, 0, limit, limit, 0), range(16)))
    assert all(each == counted(numba, values, 0, limit, limit, 0) for each in found)


VALUES, TALLY, KEYS = np.zeros(8, np.float32), np.zeros(CELLS, np.uint32), np.zeros(2, np.int64)
read_only = np.zeros(CELLS, np.uint32)
read_only.flags.writeable = False
unaligned = np.zeros(9, np.uint8)[1:].view(np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((VALUES.astype(np.float64), 0, 1.0, 1.0, 0, TALLY, KEYS), TypeError, "values .* float32"),
        ((VALUES.reshape(2, 4), 0, 1.0, 1.0, 0, TALLY, KEYS), TypeError, "values .* dimensions: 1"),
        ((VALUES.astype(">f4"), 0, 1.0, 1.0, 0, TALLY, KEYS), TypeError, "values"),
        ((VALUES[::2], 0, 1.0, 1.0, 0, TALLY, KEYS), ValueError, "contiguous"),
        ((unaligned, 0, 1.0, 1.0, 0, TALLY, KEYS), ValueError, "values is not aligned"),
        (([1.0], 0, 1.0, 1.0, 0, TALLY, KEYS), TypeError, "list"),
        ((VALUES, -1, 1.0, 1.0, 0, TALLY, KEYS), ValueError, "start"),
        ((VALUES, "0", 1.0, 1.0, 0, TALLY, KEYS), TypeError, "str"),
        ((VALUES, 0, 1.0, 1.0, -1, TALLY, KEYS), ValueError, "hot"),
        ((VALUES, 0, 1.0, 1.0, BINS, TALLY, KEYS), ValueError, "hot"),
        ((VALUES, 0, 1.0, 1.0, 0, TALLY[:-LANES], KEYS), ValueError, "cells"),
        ((VALUES, 0, 1.0, 1.0, 0, read_only, KEYS), ValueError, "read-only"),
        ((VALUES, 0, 1.0, 1.0, 0, TALLY.view(np.int32), KEYS), TypeError, "cells .* uint32"),
        ((VALUES, 0, 1.0, 1.0, 0, TALLY, KEYS[:1]), ValueError, "keys"),
        ((VALUES, 0, 1.0, 1.0, 0, TALLY, KEYS.astype(np.uint64)), TypeError, "keys .* int64"),
        ((VALUES, 0, 1.0, 1.0, 0, TALLY), TypeError, "argument"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        compiled.count_magnitudes(*arguments)


def test_arrays_that_name_this_machines_byte_order_are_taken() -> None:
    """Weights read from a file are '<f4', which numpy calls equal to float32."""
    named = np.dtype(np.float32).newbyteorder("<" if sys.byteorder == "little" else ">")
    rows = np.frombuffer(np.arange(8, dtype=np.float32).tobytes(), named).reshape(2, 4)
    low, high = format_kernels.extremes(rows)
    assert (low.tolist(), high.tolist()) == ([0.0, 4.0], [3.0, 7.0])
