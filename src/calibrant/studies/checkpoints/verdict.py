"""Which candidates are better than others, and how sure that is: paired intervals over the documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Loss, loss
from calibrant.tasks.generation.evidence import DIVERGENCE, TextEvidence

RESAMPLES, SPLITS, _TAIL = 1000, 20, 0.025
_Z = 1.96


class Documents:
    """Losses between candidates under the same resamples of the documents."""

    def __init__(self, documents: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._count = documents
        self._weights = rng.multinomial(documents, np.full(documents, 1 / documents), RESAMPLES)
        self._halves = [rng.permutation(documents) for _ in range(SPLITS)]
        self._known: dict[int, NDArray[np.float64]] = {}

    def loss(self, found: TextEvidence) -> Loss:
        """What a candidate loses against the float model, whose divergence from itself is none."""
        values = self._resampled(found)
        return self._centred(loss(np.zeros_like(values), values, DIVERGENCE), loss(0.0, found.kl, DIVERGENCE))

    def difference(self, better: TextEvidence, other: TextEvidence) -> Loss:
        """What ``other`` loses against ``better``."""
        lost = loss(self._resampled(better), self._resampled(other), DIVERGENCE)
        return self._centred(lost, loss(better.kl, other.kl, DIVERGENCE))

    def needed(self, better: TextEvidence, other: TextEvidence) -> int | None:
        """Documents like these that would tell two candidates apart; None: nothing does."""
        difference = loss(better.kl, other.kl, DIVERGENCE)
        spread = float(np.std(loss(self._resampled(better), self._resampled(other), DIVERGENCE)))
        if difference <= 0 or spread <= 0:
            return None
        return math.ceil(self._count * (_Z * spread / difference) ** 2)

    def held_out_loss(self, candidates: Sequence[TextEvidence]) -> float:
        """KL on one half of the documents of the candidate that is best on the other half, averaged."""
        lost = []
        for order in self._halves:
            first, second = order[: self._count // 2], order[self._count // 2 :]
            for choose, report in ((first, second), (second, first)):
                best = min(candidates, key=lambda evidence, half=choose: evidence.of(half).kl)  # type: ignore[misc]
                lost.append(best.of(report).kl)
        return float(np.mean(lost))

    def _resampled(self, evidence: TextEvidence) -> NDArray[np.float64]:
        if id(evidence) not in self._known:
            self._known[id(evidence)] = evidence.resample(self._weights)
        return self._known[id(evidence)]

    @staticmethod
    def _centred(values: NDArray[np.float64], estimate: float) -> Loss:
        finite = values[np.isfinite(values)]
        if not finite.size:
            return Loss(estimate, estimate, estimate)
        low, median, high = np.quantile(finite, [_TAIL, 0.5, 1 - _TAIL])
        return Loss(estimate, float(estimate + low - median), float(estimate + high - median))


@dataclass(frozen=True)
class Contender:
    """A candidate as the choice sees it."""

    name: str
    simplicity: int
    bytes: int
    evidence: TextEvidence


@dataclass(frozen=True)
class Choice:
    """The candidate to deploy, why, and which others cannot be told from it."""

    name: str
    reason: str
    tied: tuple[str, ...]
    held_out_loss: float


def choose(
    contenders: Sequence[Contender], documents: Documents, max_loss: float | None = None
) -> Choice | None:
    """The smallest candidate within ``max_loss`` (upper end of its interval), or the one of the least KL.

    Of those that cannot be told from it, and are no larger, the simplest. None: none is within.
    """
    within = [c for c in contenders if max_loss is None or documents.loss(c.evidence).high <= max_loss]
    if not within:
        return None
    smallest = min(c.bytes for c in within)
    group = within if max_loss is None else [c for c in within if c.bytes == smallest]
    best = min(group, key=lambda c: (c.evidence.kl, c.simplicity))
    level = [c for c in group if c is best or not documents.difference(best.evidence, c.evidence).is_real]
    chosen = min(level, key=lambda c: (c.bytes, c.simplicity, c.evidence.kl))
    tied = tuple(c.name for c in sorted(level, key=lambda c: c.evidence.kl) if c is not chosen)
    held_out = documents.held_out_loss([c.evidence for c in group])
    return Choice(chosen.name, _reason(chosen, tied, documents, max_loss, len(contenders)), tied, held_out)


def _reason(
    chosen: Contender, tied: Sequence[str], documents: Documents, max_loss: float | None, others: int
) -> str:
    found = documents.loss(chosen.evidence)
    lost = f"KL {DIVERGENCE.amount(found.value)} a token (95 % interval {found.interval(DIVERGENCE)})"
    within = "" if max_loss is None else f", the smallest within {DIVERGENCE.amount(max_loss)}"
    if not tied:
        alone = ", the only candidate" if others == 1 else ", significantly the best of its kind"
        return lost + (within or alone)
    names = ", ".join(tied) if len(tied) < 4 else f"{len(tied)} others"
    return (
        f"{lost}{within}; {names} cannot be distinguished from it on these documents, and it is the simplest"
    )


def needed_documents(ranking: Sequence[Contender], documents: Documents) -> Mapping[tuple[str, str], int]:
    """How many documents would tell neighbours of the ranking apart, where these do not."""
    found = {}
    for better, other in pairwise(ranking):
        if not documents.difference(better.evidence, other.evidence).is_real:
            count = documents.needed(better.evidence, other.evidence)
            if count is not None:
                found[better.name, other.name] = count
    return found
