"""Candidates that write: whether what teacher forcing ranked holds on answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.decoding import Decoder, QuantizedModel, quantized_models
from calibrant.models.checkpoint.rendering import Tokenizer
from calibrant.models.checkpoint.statistics import Wanted
from calibrant.models.checkpoint.streaming import Quantizing
from calibrant.studies.checkpoints.data import TextData
from calibrant.tasks.generation.scoring import Scorer

RESAMPLES = 2000
_Z = 1.96
_THINKS, _CLOSES = "<think>", "</think>"


@dataclass(frozen=True)
class DecodingSettings:
    """How answers are confirmed. name: of the rule, function or program. candidates: how many of the best.

    tokens: that are written at most.
    """

    scorer: Scorer
    name: str
    candidates: int = 2
    tokens: int = 256


@dataclass(frozen=True)
class Confirmation:
    """What one candidate wrote, against the float model's. score, loss: means; low, high: of the loss, 95 %.

    broken, fixed: documents that only the float model, or only the candidate, has right; p_value: of
    McNemar's exact test that both are as likely. tokens, tokens_ratio: written a document, and times the
    float model's. unclosed: documents whose thinking does not end. same: documents with the very same text.
    needed: documents like these that would tell the two apart; None: nothing does.
    """

    name: str
    score: float
    loss: float
    low: float
    high: float
    broken: int
    fixed: int
    p_value: float
    tokens: float
    tokens_ratio: float
    unclosed: int
    same: int
    needed: int | None

    @property
    def is_worse(self) -> bool:
        """Whether it gets fewer answers right than the float model, beyond chance."""
        return self.broken > self.fixed and self.p_value < 0.05


@dataclass(frozen=True)
class Decoding:
    """What was confirmed: on how many documents, by which scorer, the float model's own score and length."""

    scorer: str
    documents: int
    score: float
    tokens: float
    unclosed: int
    confirmations: tuple[Confirmation, ...]

    def to_dict(self) -> dict[str, Any]:
        """As study.json holds it."""
        return asdict(self)


def confirm(
    architecture: Architecture,
    data: TextData,
    tokenizer: Tokenizer,
    candidates: Sequence[Quantizing],
    wanted: Wanted,
    settings: DecodingSettings,
    progress: Progress,
) -> Decoding:
    """Let the float model and candidates write answers, and score them. One more reading for each.

    Raises DataError where no test document has an answer.
    """
    rows = [
        tokens
        for tokens in data.test
        if tokens.id in data.documents and data.documents[tokens.id].answer is not None
    ]
    if not rows:
        raise DataError("no test document has an answer; add one to each row, or leave decoding out")
    documents = [data.documents[tokens.id] for tokens in rows]
    prompts = [tokens.numbers[: tokens.scored_from] for tokens in rows]
    calibration = [tokens.numbers for tokens in data.calibration]
    models = quantized_models(architecture, calibration, candidates, wanted, progress)
    decoder = Decoder(architecture)

    def written(model: QuantizedModel | None) -> _Written:
        found = decoder.written(prompts, settings.tokens, model)
        texts = [tokenizer.text(each) for each in found]
        marked = [tokenizer.text(each, special=True) for each in found]
        return _Written(np.array(settings.scorer(documents, texts)), texts, marked, list(map(len, found)))

    with progress.stage("Decoding", len(models) + 1) as step:
        reference = written(None)
        step()
        confirmations = []
        for name, model in models.items():
            confirmations.append(_confirmation(name, reference, written(model)))
            step()
    return Decoding(
        settings.name,
        len(rows),
        float(reference.scores.mean()),
        float(np.mean(reference.lengths)),
        reference.unclosed,
        tuple(confirmations),
    )


@dataclass(frozen=True)
class _Written:
    """Scores, texts, texts with their marks, and lengths in tokens, by document."""

    scores: NDArray[np.float64]
    texts: Sequence[str]
    marked: Sequence[str]
    lengths: Sequence[int]

    @property
    def unclosed(self) -> int:
        """Documents whose thinking does not end."""
        return sum(_THINKS in text and _CLOSES not in text for text in self.marked)


def _confirmation(name: str, reference: _Written, found: _Written) -> Confirmation:
    lost = reference.scores - found.scores
    rng = np.random.default_rng(0)
    means = lost[rng.integers(0, len(lost), (RESAMPLES, len(lost)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    right = [each.scores >= 0.5 for each in (reference, found)]
    broken, fixed = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    return Confirmation(
        name=name,
        score=float(found.scores.mean()),
        loss=float(lost.mean()),
        low=float(low),
        high=float(high),
        broken=broken,
        fixed=fixed,
        p_value=mcnemar(broken, fixed),
        tokens=float(np.mean(found.lengths)),
        tokens_ratio=float(np.sum(found.lengths) / max(1, np.sum(reference.lengths))),
        unclosed=found.unclosed,
        same=sum(a == b for a, b in zip(reference.texts, found.texts, strict=True)),
        needed=documents_needed(lost),
    )


def mcnemar(broken: int, fixed: int) -> float:
    """The chance of flips as uneven as these where both ways are as likely: two-sided, exact.

    Source: Q. McNemar, Psychometrika 12, 1947; exact by the binomial distribution.
    """
    count, less = broken + fixed, min(broken, fixed)
    return float(min(1.0, 2 * sum(comb(count, k) for k in range(less + 1)) / 2**count))


def documents_needed(lost: NDArray[np.float64]) -> int | None:
    """How many documents like these would show the mean loss to be none of chance; None: there is no loss."""
    mean, spread = float(lost.mean()), float(lost.std())
    return None if mean == 0 or spread == 0 else ceil((_Z * spread / mean) ** 2)


def best_named(losses: Mapping[str, float], first: str | None, count: int) -> tuple[str, ...]:
    """The recommended candidate, and those of the least loss beside it."""
    ranked = sorted(losses, key=lambda name: losses[name])
    names = ([first] if first is not None else []) + [name for name in ranked if name != first]
    return tuple(names[:count])
