"""How far a candidate is from the float model, by document, so that any resample of them can be scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import MINIMIZE, Figure, Metric

DIVERGENCE = Metric("kl", "KL", unit="nats", direction=MINIMIZE, scale=1.0, decimals=4)
"""Kullback-Leibler divergence of the next-token distribution from the float model's, a scored token."""


@dataclass(frozen=True)
class TextEvidence:
    """Sums over each document's scored tokens, in the order of the documents.

    tokens: how many are scored. divergence, nll: nats. agreement: tokens whose most probable successor is the
    float model's. reference_nll: the float model's own.
    """

    tokens: NDArray[np.int64]
    divergence: NDArray[np.float64]
    nll: NDArray[np.float64]
    agreement: NDArray[np.int64]
    reference_nll: NDArray[np.float64]

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """KL a token under each row of ``weights``, (R, documents)."""
        return _ratio(weights @ self.divergence, weights @ self.tokens)

    @property
    def kl(self) -> float:
        """Mean KL a scored token, nats."""
        return float(self.divergence.sum() / self.tokens.sum())

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What is told beside the KL: agreement, likelihoods, the tail of the documents."""
        total = self.tokens.sum()
        return (
            Figure("top1", 100 * float(self.agreement.sum() / total), "%"),
            Figure("nll", float(self.nll.sum() / total), "nats"),
            Figure("nll_change", float((self.nll - self.reference_nll).sum() / total), "nats"),
            likelihood_figures(float(self.nll.sum() / total))[1],
            Figure("kl_worst_document", float(self._by_document.max()), "nats"),
            Figure("kl_95th_percentile", float(np.quantile(self._by_document, 0.95)), "nats"),
        )

    def worst(self, count: int) -> tuple[int, ...]:
        """Places of the documents with the largest KL a token, the worst first."""
        return tuple(int(place) for place in np.argsort(-self._by_document, kind="stable")[:count])

    def of(self, documents: NDArray[np.int64]) -> TextEvidence:
        """The same of some documents only."""
        return TextEvidence(**{name: values[documents] for name, values in self.to_arrays().items()})

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name."""
        names = ("tokens", "divergence", "nll", "agreement", "reference_nll")
        return {name: getattr(self, name) for name in names}

    @property
    def _by_document(self) -> NDArray[np.float64]:
        return _ratio(self.divergence, self.tokens)


def likelihood_figures(nll: float) -> tuple[Figure, Figure]:
    """A mean negative log-likelihood a token, nats, as it is and as a perplexity."""
    return Figure("nll", nll, "nats"), Figure("perplexity", float(np.exp(min(nll, 700.0))), "")


def evidence_from(arrays: Mapping[str, NDArray[Any]]) -> TextEvidence:
    """The evidence that gave these arrays. Raises KeyError."""
    return TextEvidence(**{name: arrays[name] for name in TextEvidence.__dataclass_fields__})


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.divide(
        sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0
    )
    return found
