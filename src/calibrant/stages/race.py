"""When a candidate need not be run any further: it is significantly worse on the samples seen so far.

A paired bootstrap over the samples seen gives the spread of the difference of two candidates' metrics. The
error level is shared out evenly among all tests that could drop the eventual winner: one against each
opponent at each look (Bonferroni). Few samples have heavier tails than a normal distribution: a metric like
mAP hangs on a few of them, so Student's t counts a quarter of them (decision 11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Evidence, Metric, loss
from calibrant.core.types import IntArray

FIRST_LOOK = 25
"""Samples that every candidate is run on before any is judged."""

RESAMPLES = 200
_LAST_LOOK = 3 / 4
_FEWEST_RESAMPLES = RESAMPLES // 2  # where a metric is undefined on most, it says nothing


@dataclass(frozen=True)
class Lead:
    """What the candidate behind loses against the leader, as shown, and at least at the race's error."""

    loss: float
    at_least: float

    @property
    def is_significant(self) -> bool:
        """Whether the one behind may be dropped."""
        return self.at_least > 0


def looks(samples: int) -> tuple[int, ...]:
    """After how many samples candidates are compared: 25, 50, 100 and so on, while a quarter is to come."""
    counts = []
    count = FIRST_LOOK
    while count <= _LAST_LOOK * samples:
        counts.append(count)
        count *= 2
    return tuple(counts)


def shuffled(samples: int, seed: int) -> tuple[int, ...]:
    """The order in which samples are run: random, as data sets are often sorted."""
    return tuple(np.random.default_rng(seed).permutation(samples).tolist())


class Race:
    """Compares candidates of a study on the samples seen so far. error: of ever dropping the winner."""

    def __init__(self, candidates: int, samples: int, error: float, seed: int, metric: Metric) -> None:
        tests = max(1, (candidates - 1) * len(looks(samples)))
        self._share = error / tests
        self._seed, self._metric = seed, metric

    def lead(self, leader: Evidence, other: Evidence, samples: int) -> Lead:
        """How far ``leader`` is before ``other``; both were seen on the same ``samples`` samples."""
        weights = _weights(samples, self._seed)
        lost = loss(leader.resample(weights), other.resample(weights), self._metric)
        measured, resampled = float(lost[0]), lost[1:]
        known = resampled[np.isfinite(resampled)]
        if len(known) < _FEWEST_RESAMPLES:
            return Lead(measured, -math.inf)
        spread = float(np.std(known, ddof=1))
        return Lead(measured, measured - _quantile(1 - self._share, samples / 4) * spread)


def _quantile(probability: float, freedom: float) -> float:
    """Student's t, to the first term of its Cornish-Fisher expansion."""
    normal = NormalDist().inv_cdf(probability)
    return normal + (normal**3 + normal) / (4 * freedom)


def _weights(samples: int, seed: int) -> IntArray:
    """First every sample once, then resamples: (1 + RESAMPLES, samples)."""
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.int64] = rng.multinomial(samples, np.full(samples, 1 / samples), RESAMPLES)
    return np.concatenate([np.ones((1, samples), np.int64), drawn])
