"""Which candidate to deploy, and how sure that is: a paired bootstrap over the test samples.

Every candidate saw the same samples, so differences are resampled together: what makes a sample hard
for all candidates cancels. Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import Evidence, IntArray

RESAMPLES = 1000
CONFIDENCE = 0.95
SPLITS = 20


@dataclass(frozen=True)
class Drop:
    """What is lost against another model, in points (0..100), with its confidence interval."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        """The interval, e.g. "0.2 to 1.4"."""
        return f"{shown(self.low)} to {shown(self.high)}"

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Candidate:
    """A trial as the recommendation sees it: less ``simplicity`` is simpler; value is 0..1.

    ``twins`` name the calibrators that made the very same model.
    """

    name: str
    simplicity: int
    value: float
    evidence: Evidence
    twins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """The candidate to deploy.

    ``tied`` are others that the interval cannot tell from the best one. ``held_out_drop`` (points) is
    what the best candidate of one half of the samples loses on the other half, averaged over random
    splits: it is free of the optimism of choosing and measuring on the same samples.
    """

    calibrator: str
    reason: str
    tied: tuple[str, ...]
    held_out_drop: float


class PairedBootstrap:
    """Drops between models that were scored on the same samples, under the same resamples."""

    def __init__(self, samples: int, seed: int = 0, resamples: int = RESAMPLES) -> None:
        rng = np.random.default_rng(seed)
        self._weights: IntArray = rng.multinomial(samples, np.full(samples, 1 / samples), resamples)
        self._splits = _half_splits(rng, samples)
        self._resampled: dict[str, NDArray[np.float64]] = {}

    def drop(self, reference: Candidate, other: Candidate) -> Drop:
        """How many points ``other`` lies below ``reference``."""
        differences = 100 * (self._values(reference) - self._values(other))
        points = 100 * (reference.value - other.value)
        return Drop(points, *_centred(differences[np.isfinite(differences)], points))

    def interval(self, candidate: Candidate) -> tuple[float, float]:
        """The confidence interval of a candidate's own metric, points."""
        values = 100 * self._values(candidate)
        return _centred(values[np.isfinite(values)], 100 * candidate.value)

    def held_out_drop(self, baseline: Candidate, candidates: Sequence[Candidate]) -> float:
        """Points lost on one half of the samples by the candidate that is best on the other half."""
        values = np.stack([c.evidence.resample(self._splits) for c in candidates])
        reference = baseline.evidence.resample(self._splits)
        chosen = np.argmax(np.nan_to_num(values, nan=-1.0), axis=0)
        other_half = np.arange(len(self._splits)) ^ 1
        lost = reference[other_half] - values[chosen, other_half]
        return float(100 * np.nanmean(lost))

    def _values(self, candidate: Candidate) -> NDArray[np.float64]:
        if candidate.name not in self._resampled:
            self._resampled[candidate.name] = candidate.evidence.resample(self._weights)
        return self._resampled[candidate.name]


def recommend(
    baseline: Candidate,
    candidates: Sequence[Candidate],
    drops: Mapping[str, Drop],
    bootstrap: PairedBootstrap,
    beaten: int = 0,
) -> Recommendation:
    """The simplest of the candidates that cannot be told from the best one.

    ``drops`` are the candidates' drops against the baseline; there is at least one candidate. ``beaten``:
    how many others were beaten beyond doubt before.
    """
    best = max(candidates, key=lambda c: (c.value, -c.simplicity))
    level = [c for c in candidates if c is best or not bootstrap.drop(best, c).is_real]
    chosen = min(level, key=lambda c: (c.simplicity, -c.value))
    ranked = sorted(level, key=lambda c: -c.value)
    tied = (*chosen.twins, *(name for c in ranked if c is not chosen for name in (c.name, *c.twins)))
    reason = _reason(chosen, best, tied, drops[chosen.name], alone=len(candidates) + beaten == 1)
    return Recommendation(chosen.name, reason, tied, bootstrap.held_out_drop(baseline, candidates))


def _reason(chosen: Candidate, best: Candidate, tied: Sequence[str], drop: Drop, alone: bool) -> str:
    lost = f"it {change_in_words(drop.points)} of mAP (95 % interval of the drop {drop})"
    if not tied:
        return f"{lost}{', the only candidate' if alone else ', beyond doubt the best of all candidates'}"
    names = (
        f"{', '.join(tied)} cannot be told from it"
        if len(tied) < 4
        else f"{len(tied)} others cannot be told from it"
    )
    simplest = (
        "it is the simplest of them" if chosen is not best else "it scores best and is the simplest of them"
    )
    return f"{lost}; {names} on this test set, and {simplest}"


def change_in_words(drop: float) -> str:
    """A drop, in points, as what a model does: "loses 0.7 points", "gains 0.2 points"."""
    return f"loses {shown(drop)} points" if drop >= 0 else f"gains {shown(-drop)} points"


def shown(points: float) -> str:
    """Points to one decimal, and no -0.0."""
    return f"{round(points, 1) + 0.0:.1f}"


def _centred(resampled: NDArray[np.float64], estimate: float) -> tuple[float, float]:
    """The percentile interval of ``resampled``, moved so that its median lies on ``estimate``.

    A resampled test set repeats images and lacks others, which raises mAP, the float model's more than a
    bad candidate's: resampled drops lie above the measured one by an amount that is no uncertainty. The
    interval is of the drop that another test set of the same size would show.
    """
    if resampled.size == 0:
        return estimate, estimate
    tail = (1 - CONFIDENCE) / 2
    low, median, high = np.quantile(resampled, [tail, 0.5, 1 - tail])
    return float(estimate + low - median), float(estimate + high - median)


def _half_splits(rng: np.random.Generator, samples: int) -> IntArray:
    """Rows 2k and 2k + 1 hold complementary halves, as weights 0 and 1."""
    rows = np.zeros((2 * SPLITS, samples), np.int64)
    for split in range(SPLITS):
        half = rng.permutation(samples)[: samples // 2]
        rows[2 * split, half] = 1
        rows[2 * split + 1] = 1 - rows[2 * split]
    return rows
