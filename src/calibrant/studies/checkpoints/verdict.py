"""Which candidates are better than others, and how sure that is: paired intervals over the documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Loss, Score
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.tasks.generation.evidence import DIVERGENCE, TextEvidence

_WIDTH = 2 * 1.96
"""A 95 % interval of a normal distribution has so many standard deviations."""


@dataclass(frozen=True)
class Contender:
    """A candidate as the choice sees it. bytes: of the whole model."""

    name: str
    simplicity: int
    bytes: int
    evidence: TextEvidence

    @property
    def scored(self) -> ScoredCandidate:
        """As the bootstrap sees it."""
        score = Score(DIVERGENCE, self.evidence.kl, self.evidence.figures, self.evidence)
        return ScoredCandidate(self.name, self.simplicity, score)


class _NoDivergence:
    """The float model's from itself."""

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.zeros(len(weights))


_FLOAT = ScoredCandidate("float", 0, Score(DIVERGENCE, 0.0, (), _NoDivergence()))


class Documents:
    """Losses of candidates under the same resamples of the documents."""

    def __init__(self, documents: int, seed: int = 0) -> None:
        self._count = documents
        self._bootstrap = PairedBootstrap(documents, seed)

    def loss(self, contender: Contender) -> Loss:
        """What a candidate loses against the float model."""
        return self._bootstrap.loss(_FLOAT, contender.scored)

    def difference(self, better: Contender, other: Contender) -> Loss:
        """What ``other`` loses against ``better``."""
        return self._bootstrap.loss(better.scored, other.scored)

    def needed(self, better: Contender, other: Contender) -> int | None:
        """Documents like these that would tell two candidates apart; None: nothing does."""
        found = self.difference(better, other)
        spread = (found.high - found.low) / _WIDTH
        if found.value <= 0 or spread <= 0:
            return None
        return math.ceil(self._count * (_WIDTH / 2 * spread / found.value) ** 2)

    def held_out_loss(self, contenders: Sequence[Contender]) -> float:
        """KL on one half of the documents of the candidate that is best on the other half, averaged."""
        return self._bootstrap.held_out_loss(_FLOAT, [contender.scored for contender in contenders])


@dataclass(frozen=True)
class Choice:
    """The candidate to deploy, why, and which others are indistinguishable from it."""

    name: str
    reason: str
    tied: tuple[str, ...]
    held_out_loss: float


def choose(
    contenders: Sequence[Contender], documents: Documents, max_loss: float | None = None
) -> Choice | None:
    """The smallest candidate within ``max_loss`` (upper end of its interval), or the one of the least KL.

    Of those that are indistinguishable from it the smallest, then the simplest. None: none is within.
    """
    within = [c for c in contenders if max_loss is None or documents.loss(c).high <= max_loss]
    if not within:
        return None
    smallest = min(c.bytes for c in within)
    group = within if max_loss is None else [c for c in within if c.bytes == smallest]
    best = min(group, key=lambda c: (c.evidence.kl, c.simplicity))
    level = [c for c in group if c is best or not documents.difference(best, c).is_real]
    chosen = min(level, key=lambda c: (c.bytes, c.simplicity, c.evidence.kl))
    tied = tuple(c.name for c in sorted(level, key=lambda c: c.evidence.kl) if c is not chosen)
    reason = _reason(chosen, tied, documents, max_loss, len(contenders))
    return Choice(chosen.name, reason, tied, documents.held_out_loss(group))


def _reason(
    chosen: Contender, tied: Sequence[str], documents: Documents, max_loss: float | None, candidates: int
) -> str:
    found = documents.loss(chosen)
    lost = f"KL {DIVERGENCE.amount(found.value)} a token (95 % interval {found.interval(DIVERGENCE)})"
    within = "" if max_loss is None else f", the smallest within {DIVERGENCE.amount(max_loss)}"
    if not tied:
        alone = ", the only candidate" if candidates == 1 else ", significantly better than the others"
        return lost + (within or alone)
    names = ", ".join(tied) if len(tied) < 4 else f"{len(tied)} others"
    are = "is" if len(tied) == 1 else "are"
    return (
        f"{lost}{within}; {names} {are} indistinguishable from it on these documents, and it is the simplest"
    )


def needed_documents(ranking: Sequence[Contender], documents: Documents) -> Mapping[tuple[str, str], int]:
    """How many documents would tell neighbours of the ranking apart, where these do not."""
    found = {}
    for better, other in pairwise(ranking):
        if not documents.difference(better, other).is_real:
            count = documents.needed(better, other)
            if count is not None:
                found[better.name, other.name] = count
    return found
