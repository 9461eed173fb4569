"""Entropy against a literal reading of docs/tensorrt-calibrators.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.calibrators import entropy2
from calibrant.calibrators.kernels import bins_of_least_divergence
from calibrant.core.histogram import BINS, Histogram
from calibrant.core.statistics import TensorStatistics, statistics_of
from calibrant.core.types import QuantSpec

INT8 = QuantSpec("int8")
LEVELS = 128

pytestmark = pytest.mark.usefixtures("each_kernels")


def literal_divergence(bins: NDArray[np.float64], kept: int) -> float:
    """KL(P || Q) as the text says it, bin by bin; infinite where P > 0 and Q = 0."""
    p = bins[:kept].copy()
    p[-1] += bins[kept:].sum()
    q = np.zeros(kept)
    groups = np.arange(kept) * LEVELS // kept
    for group in range(LEVELS):
        members = groups == group
        filled = members & (bins[:kept] > 0)
        if filled.any():
            q[filled] = bins[:kept][members].sum() / filled.sum()
    p, q = p / p.sum(), q / q.sum()
    if ((p > 0) & (q == 0)).any():
        return np.inf
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def shaped(counts: list[int], spread: int) -> NDArray[np.int64]:
    """A 2048-bin histogram from a few counts, each repeated over ``spread`` bins."""
    repeated = np.repeat(np.array(counts, np.int64), spread)[:2048]
    return np.pad(repeated, (0, 2048 - len(repeated)))


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**6), min_size=8, max_size=200), st.integers(1, 64))
def test_the_choice_has_the_least_literal_divergence(counts: list[int], spread: int) -> None:
    histogram = shaped(counts, spread)
    bins = histogram.astype(np.float64)
    bins[0] = bins[1]
    chosen = bins_of_least_divergence(histogram)
    assert LEVELS <= chosen <= 2048
    if np.count_nonzero(bins) < 2:
        assert chosen == 2048
        return
    candidates = [i for i in range(LEVELS, 2049, 16) if np.count_nonzero(bins[:i]) >= 2]
    best = min((literal_divergence(bins, i) for i in candidates), default=np.inf)
    if np.isfinite(best):
        assert literal_divergence(bins, chosen) <= best + 1e-9


def test_a_uniform_histogram_is_kept_whole() -> None:
    assert bins_of_least_divergence(np.full(2048, 100, np.int64)) == 2048


def test_a_constant_tensor_keeps_all_bins() -> None:
    found = entropy2(statistics_of(np.full(1000, 3.0, np.float32)), INT8)
    assert found.amax == pytest.approx(2048.5 * 3.0 / 2048)


def test_the_threshold_can_lie_half_a_bin_above_the_maximum() -> None:
    values = np.linspace(-1, 1, 200001, dtype=np.float32)
    assert entropy2(statistics_of(values), INT8).amax == pytest.approx(1.000244140625)


def test_a_far_outlier_is_clipped() -> None:
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=200_000), 20.0).astype(np.float32)
    assert entropy2(statistics_of(values), INT8).amax < 8


def test_the_zero_bin_is_taken_from_its_neighbour() -> None:
    """A tensor half of zeros (ReLU) gives the threshold that it gives without them."""
    rng = np.random.default_rng(1)
    positive = np.abs(rng.normal(size=100_000)).astype(np.float32)
    counts = statistics_of(positive).histogram.coarse(2048)
    with_zeros = counts.copy()
    with_zeros[0] += 10**7
    assert bins_of_least_divergence(with_zeros) == bins_of_least_divergence(counts)


def test_scaling_by_a_power_of_two_scales_the_threshold() -> None:
    values = np.random.default_rng(2).laplace(size=50_000).astype(np.float32)
    one, four = entropy2(statistics_of(values), INT8), entropy2(statistics_of(values * 4), INT8)
    assert four.amax == 4 * one.amax


def test_asymmetric_targets_never_reach_beyond_what_was_seen() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[:] = 5
    stats = TensorStatistics(Histogram(counts, 1.0, 1.0), low=-0.25, high=1.0)
    found = entropy2(stats, QuantSpec("uint8", symmetric=False))
    assert (found.low, found.high) == (-0.25, 1.0)
