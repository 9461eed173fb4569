"""Generation's evidence: KL a token, under any weighting of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.generation.evidence import TextEvidence, evidence_from
from calibrant.testing import EvidenceConformance

TOKENS = np.array([3, 10, 1, 7])
DIVERGENCE = np.array([0.3, 0.1, 2.0, 0.0])


class TestTextEvidenceConforms(EvidenceConformance):
    def evidence(self) -> TextEvidence:
        nll = np.array([4.0, 9.0, 3.0, 8.0])
        return TextEvidence(TOKENS, DIVERGENCE, nll, np.array([3, 9, 0, 7]), nll - 0.1)

    def value(self, samples: Sequence[int]) -> float:
        places = list(samples)
        return float(DIVERGENCE[places].sum() / TOKENS[places].sum())

    def count(self) -> int:
        return len(TOKENS)

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> TextEvidence:
        return evidence_from(arrays)
