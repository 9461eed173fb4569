"""The compiled summary is numba's, bin for bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibrant.stages.coverage.bins import BINS

compiled = pytest.importorskip("calibrant.stages.coverage._kernels")
numba = pytest.importorskip("calibrant.stages.coverage.numba_kernels")

BOUNDS = arrays(np.float32, 3, elements=st.floats(-100, 100, width=32))


def summarised(
    kernels: Any, values: NDArray[np.float32], lows: NDArray[np.float32], highs: NDArray[np.float32]
) -> tuple[bool, list[bytes]]:
    counts, outside = np.zeros(BINS, np.int64), np.zeros(len(lows), np.int64)
    extremes = np.array([np.inf, -np.inf], np.float32)
    is_finite = kernels.summarise(values, lows, highs, counts, outside, extremes)
    return is_finite, [counts.tobytes(), outside.tobytes(), extremes.tobytes()]


@given(arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32)), BOUNDS, BOUNDS)
def test_the_summary_is_numbas(
    values: NDArray[np.float32], lows: NDArray[np.float32], highs: NDArray[np.float32]
) -> None:
    for these in (values, values[np.isfinite(values)]):
        assert summarised(compiled, these, lows, highs) == summarised(numba, these, lows, highs)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("lows", np.zeros(2, np.float32), "of one size"),
        ("outside", np.zeros(2, np.int64), "of one size"),
        ("counts", np.zeros(BINS - 1, np.int64), "counts"),
        ("extremes", np.zeros(3, np.float32), "extremes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name: str, given: NDArray[Any], words: str) -> None:
    fitting = {
        "values": np.ones(5, np.float32),
        "lows": np.zeros(1, np.float32),
        "highs": np.ones(1, np.float32),
        "counts": np.zeros(BINS, np.int64),
        "outside": np.zeros(1, np.int64),
        "extremes": np.zeros(2, np.float32),
    }
    assert compiled.summarise(*fitting.values())
    with pytest.raises(ValueError, match=words):
        compiled.summarise(*{**fitting, name: given}.values())
