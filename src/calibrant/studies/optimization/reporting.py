"""Figures on the samples that a search never looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from calibrant.core.metrics import Loss
from calibrant.stages.optimization.choice import Outlook, ScoredRecipe
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.studies.optimization.measure import REPORT, SELECT, PartEvaluation, R
from calibrant.studies.optimization.result import Ablation, PartResult, Point
from calibrant.studies.result import rounded_loss


def candidate_of(name: str, measurement: PartEvaluation) -> ScoredCandidate:
    """A measurement as the bootstrap sees it."""
    return ScoredCandidate(name, 0, measurement.score)


class Report(Generic[R]):
    """What recipes lose on the reporting samples, of which there are so many.

    measured: what a recipe, or the float model (None), reaches on one half of the test samples.
    """

    def __init__(self, measured: Callable[[R | None, str], PartEvaluation], samples: int, seed: int) -> None:
        self._measured = measured
        self._bootstrap = PairedBootstrap(samples, seed)

    def point(self, option: ScoredRecipe[R], outlook: Outlook, name: str, explanation: str) -> Point:
        """An option with its loss on both halves."""
        recipe = option.recipe
        found = self._measured(recipe, REPORT)
        return Point(
            name=name,
            explanation=explanation,
            recipe=recipe.to_dict(),
            int8_share=round(option.int8_share, 4),
            agreement=round(option.agreement, 4),
            expected=round(outlook.expected(option), 4),
            at_most=round(outlook.at_most(option), 4),
            select=_part(self._measured(recipe, SELECT), option.loss),
            report=_part(found, self._loss(None, recipe)),
            latency_ms=found.latency_ms,
        )

    def gain(self, recipe: R, over: R) -> Loss:
        """What ``over`` loses against ``recipe``."""
        return self._loss(recipe, over)

    def without(self, technique: str, recipe: R, other: R) -> Ablation:
        """What a technique of ``recipe`` brings, that ``other`` does without."""
        score = self._measured(other, REPORT).score
        gain = rounded_loss(self._loss(recipe, other), score.metric)
        return Ablation(technique, score.metric.stored(score.value), gain)

    def _loss(self, reference: R | None, other: R) -> Loss:
        pair = [
            candidate_of(recipe.key if recipe else "fp32", self._measured(recipe, REPORT))
            for recipe in (reference, other)
        ]
        return self._bootstrap.loss(*pair)


def _part(found: PartEvaluation, lost: Loss) -> PartResult:
    metric = found.score.metric
    return PartResult(metric.stored(found.score.value), rounded_loss(lost, metric))
