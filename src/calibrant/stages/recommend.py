"""Which candidate to deploy, and how sure that is: a paired bootstrap over the test samples.

Every candidate saw the same samples, so differences are resampled together: what makes a sample hard
for all candidates cancels. Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Loss, Metric, Score, loss
from calibrant.core.types import IntArray

RESAMPLES = 1000
CONFIDENCE = 0.95
SPLITS = 20


BEST, SIMPLEST = "best", "simplest"
PREFERENCES = (SIMPLEST, BEST)
"""Of candidates that are indistinguishable from the best: the simplest, or the one that scores best."""


@dataclass(frozen=True)
class ScoredCandidate:
    """A model as the recommendation sees it: less ``simplicity`` is simpler.

    ``twins`` name the calibrators that made the very same model.
    """

    name: str
    simplicity: int
    score: Score
    twins: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return self.score.metric


@dataclass(frozen=True)
class Recommendation:
    """The candidate to deploy.

    ``tied`` are others that are indistinguishable from the best one. ``held_out_loss`` (in the metric's
    unit) is what the best candidate of one half of the samples loses on the other half, averaged over
    random splits: it is free of the optimism of choosing and measuring on the same samples.
    """

    calibrator: str
    reason: str
    tied: tuple[str, ...]
    held_out_loss: float


class PairedBootstrap:
    """Losses between models that were scored on the same samples, under the same resamples."""

    def __init__(self, samples: int, seed: int = 0, resamples: int = RESAMPLES) -> None:
        rng = np.random.default_rng(seed)
        self._weights: IntArray = rng.multinomial(samples, np.full(samples, 1 / samples), resamples)
        self._splits = _half_splits(rng, samples)
        self._resampled: dict[str, NDArray[np.float64]] = {}

    def loss(self, reference: ScoredCandidate, other: ScoredCandidate, *, together: int = 1) -> Loss:
        """What ``other`` loses against ``reference``, as shown; nan where one of them has no value.

        together: the number of losses whose intervals hold all at once with CONFIDENCE (Bonferroni).
        """
        metric = reference.metric
        lost = loss(reference.score.value, other.score.value, metric)
        if math.isnan(lost):
            return Loss(math.nan, math.nan, math.nan)
        differences = loss(self._values(reference), self._values(other), metric)
        return Loss(lost, *_centred(differences[np.isfinite(differences)], lost, together))

    def interval(self, candidate: ScoredCandidate) -> tuple[float, float]:
        """The confidence interval of a candidate's own metric, as shown; nan where it has no value."""
        metric = candidate.metric
        value = metric.in_unit(candidate.score.value)
        if math.isnan(value):
            return math.nan, math.nan
        values = metric.scale * self._values(candidate)
        return _centred(values[np.isfinite(values)], value)

    def held_out_loss(self, baseline: ScoredCandidate, candidates: Sequence[ScoredCandidate]) -> float:
        """What the candidate that is best on one half of the samples loses on the other; nan: undefined."""
        metric = baseline.metric
        values = np.stack([c.score.evidence.resample(self._splits) for c in candidates])
        reference = baseline.score.evidence.resample(self._splits)
        lost = loss(reference, values, metric)
        chosen = np.argmin(np.where(np.isnan(lost), np.inf, lost), axis=0)
        other_half = np.arange(len(self._splits)) ^ 1
        found = loss(reference[other_half], values[chosen, other_half], metric)
        known = found[np.isfinite(found)]
        return float(np.mean(known)) if known.size else math.nan

    def _values(self, candidate: ScoredCandidate) -> NDArray[np.float64]:
        if candidate.name not in self._resampled:
            self._resampled[candidate.name] = candidate.score.evidence.resample(self._weights)
        return self._resampled[candidate.name]


def recommend(
    baseline: ScoredCandidate,
    candidates: Sequence[ScoredCandidate],
    losses: Mapping[str, Loss],
    bootstrap: PairedBootstrap,
    others_worse: int = 0,
    prefer: str = SIMPLEST,
) -> Recommendation:
    """The simplest of the candidates that are indistinguishable from the best one, or the best one itself.

    ``losses`` are the candidates' against the baseline; there is at least one candidate, and each has a
    value. ``others_worse``: how many others were significantly worse before.
    """
    best = min(candidates, key=lambda c: (c.score.badness, c.simplicity))
    level = [c for c in candidates if c is best or not bootstrap.loss(best, c).is_real]
    ranked = sorted(level, key=lambda c: c.score.badness)
    chosen = best if prefer == BEST else min(ranked, key=lambda c: c.simplicity)
    tied = (*chosen.twins, *(name for c in ranked if c is not chosen for name in (c.name, *c.twins)))
    others = tuple(" = ".join((c.name, *c.twins)) for c in ranked if c is not chosen)
    is_alone = len(candidates) + others_worse == 1
    reason = _reason(chosen, best, others, losses[chosen.name], prefer, is_alone=is_alone)
    return Recommendation(chosen.name, reason, tied, bootstrap.held_out_loss(baseline, candidates))


def doubt_of_baseline(metric: Metric, value: float) -> str | None:
    """Why a float model that scores ``value`` cannot be compared with; None: it can."""
    if math.isnan(value):
        return (
            f"{metric.words} of the float model is undefined on this test set, so no candidate can be "
            "compared"
        )
    if metric.is_usable(value):
        return None
    return (
        f"the float model itself has only {metric.text(metric.in_unit(value))} {metric.words}, so what a "
        "candidate loses against it says nothing"
    )


def _reason(
    chosen: ScoredCandidate,
    best: ScoredCandidate,
    others: Sequence[str],
    lost: Loss,
    prefer: str,
    *,
    is_alone: bool,
) -> str:
    metric = chosen.metric
    said = (
        f"it {metric.change(lost.value)} of {metric.words} (95 % interval of the loss "
        f"{lost.interval(metric)})"
    )
    twins = f"; {', '.join(chosen.twins)} made the very same model" if chosen.twins else ""
    if not others:
        alone = ", the only candidate" if is_alone else ", significantly better than all other candidates"
        return f"{said}{alone}{twins}"
    names = ", ".join(others) if len(others) < 4 else f"{len(others)} others"
    are = "is" if len(others) == 1 else "are"
    level = f"{names} {are} indistinguishable from it on this test set"
    if prefer == BEST:
        why = "it scores best"
    elif chosen is best:
        why = "it scores best and is the simplest of them"
    else:
        why = f"it is the simplest of them ({best.name} scores best: --prefer best)"
    return f"{said}{twins}; {level}, and {why}"


def _centred(resampled: NDArray[np.float64], estimate: float, together: int = 1) -> tuple[float, float]:
    """The percentile interval of ``resampled``, moved so that its median lies on ``estimate``.

    A resampled test set repeats samples and lacks others, which raises mAP, the float model's more than a
    bad candidate's: resampled losses lie above the measured one by an amount that is no uncertainty. The
    interval is of the loss that another test set of the same size would show.
    """
    if resampled.size == 0:
        return estimate, estimate
    tail = (1 - CONFIDENCE) / 2 / together
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
