"""What is kept of each sample's activations, and of a set of samples: extremes and coarse histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.types import Range
from calibrant.stages.coverage.bins import BINS


@dataclass(frozen=True)
class TensorSummary:
    """One tensor of one sample, or of several.

    low, high: extremes, real units. counts: int64 (BINS,). outside: int64 (R,), values outside each of R
    ranges.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    outside: NDArray[np.int64]


@dataclass(frozen=True)
class SetSummary:
    """All samples of a set, tensors in the order of ``tensors``.

    lows, highs: float32 (N, T), each sample's extremes. counts: int64 (T, BINS), all samples together.
    outside: int64 (T, R), values outside each range, and samples_outside (T, R) samples with any. halves:
    int64 (S, T, BINS), the counts of one half of the samples in each of S random splits.
    """

    tensors: tuple[str, ...]
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    counts: NDArray[np.int64]
    outside: NDArray[np.int64]
    samples_outside: NDArray[np.int64]
    halves: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """How many samples were summarised."""
        return len(self.lows)


def summary_of(parts: Sequence[NDArray[np.float32]], ranges: Sequence[Range]) -> TensorSummary:
    """Summarise the values of one tensor, in one or several arrays of any shape.

    Raises NumericsError when one is NaN or infinite.
    """
    from calibrant.stages.coverage.kernels import summarise

    lows = np.array([chosen.low for chosen in ranges], np.float32)
    highs = np.array([chosen.high for chosen in ranges], np.float32)
    counts, outside = np.zeros(BINS, np.int64), np.zeros(len(ranges), np.int64)
    extremes = np.array([np.inf, -np.inf], np.float32)
    for part in parts:
        flat = np.ascontiguousarray(part, np.float32).reshape(-1)
        if not summarise(flat, lows, highs, counts, outside, extremes):
            bad = int((~np.isfinite(flat)).sum())
            raise NumericsError(f"{bad} of {flat.size} values are NaN or infinite")
    return TensorSummary(float(extremes[0]), float(extremes[1]), counts, outside)


def summarised(
    tensors: Sequence[str],
    samples: Iterable[Mapping[str, TensorSummary]],
    ranges: int,
    splits: NDArray[np.bool_],
) -> SetSummary:
    """Add up the samples' summaries as they come.

    ranges: how many ranges the summaries know. splits: bool (S, N), which of N samples are in the first half
    of each split.
    """
    counts = np.zeros((len(tensors), BINS), np.int64)
    outside, samples_outside = (np.zeros((len(tensors), ranges), np.int64) for _ in range(2))
    halves = np.zeros((len(splits), len(tensors), BINS), np.int64)
    lows: list[list[float]] = []
    highs: list[list[float]] = []
    for position, sample in enumerate(samples):
        rows = [sample[tensor] for tensor in tensors]
        lows.append([row.low for row in rows])
        highs.append([row.high for row in rows])
        of_sample = np.stack([row.counts for row in rows])
        counts += of_sample
        halves[splits[:, position]] += of_sample
        beyond = np.stack([row.outside for row in rows])
        outside += beyond
        samples_outside += beyond > 0
    return SetSummary(
        tuple(tensors),
        np.array(lows, np.float32).reshape(-1, len(tensors)),
        np.array(highs, np.float32).reshape(-1, len(tensors)),
        counts,
        outside,
        samples_outside,
        halves,
    )


def random_halves(samples: int, splits: int, seed: int) -> NDArray[np.bool_]:
    """Which of ``samples`` samples are in the first half of each of ``splits`` random splits: (S, N)."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((splits, samples), np.bool_)
    for row in rows:
        row[rng.permutation(samples)[: samples // 2]] = True
    return rows
