"""Which of the measured models to deploy: one that should keep the target elsewhere, nearly all in INT8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from calibrant.core.metrics import Loss

R = TypeVar("R")

# The share of the float model's metric that is lost for each share of its predictions on which the two
# disagree, and how far that differs from model to model (standard deviation): docs/adr/0010.
LOSS_PER_DISAGREEMENT, ITS_SPREAD = 0.2, 0.12
# The loss follows from models that disagree at most so many times as much as the closest one.
NEARBY = 1.5
# Standard deviations above the expected loss under which four of five measurements stay.
CAUTION = 0.84
_INTERVAL_WIDTHS = 2 * 1.96


@dataclass(frozen=True)
class ScoredRecipe(Generic[R]):
    """A model that was measured on the samples to select by, and its recipe: of one file, or of all parts.

    agreement: with the float model, on other samples, 0..1. int8_share: of all multiply-accumulates of
    convolutions and matrix products, 0..1.
    """

    recipe: R
    agreement: float
    int8_share: float
    loss: Loss

    @property
    def disagreement(self) -> float:
        """What is not agreement, 0..1."""
        return 1 - self.agreement

    @property
    def noise(self) -> float:
        """The standard deviation of its measured loss: what as many other samples would have, too."""
        return (self.loss.high - self.loss.low) / _INTERVAL_WIDTHS


@dataclass(frozen=True)
class Outlook:
    """What models are expected to lose on samples not seen, by how far they disagree with the float model.

    slope: the loss for a disagreement of 1. spread: its standard deviation.
    """

    slope: float
    spread: float

    def expected(self, option: ScoredRecipe[Any]) -> float:
        """What an option will lose. Never less than its own measurement leaves possible."""
        return max(self.slope * option.disagreement, option.loss.low)

    def at_most(self, option: ScoredRecipe[Any]) -> float:
        """What it will hardly lose more than when it is measured on as many other samples."""
        deviation = math.hypot(self.spread * option.disagreement, option.noise)
        return max(self.slope * option.disagreement + CAUTION * deviation, option.loss.low)


def outlook(options: Sequence[ScoredRecipe[Any]], whole: float) -> Outlook:
    """What disagreement costs this model: what it costs others, corrected by what was measured here.

    whole: what a model that predicts nothing right would lose, as shown. There is at least one option. Each
    option's measured loss has much noise, and all have it in common, as they are scored on the same
    samples: that is why a handful of them count as one measurement, whose weight is what its interval
    allows.
    """
    prior, spread = LOSS_PER_DISAGREEMENT * whole, ITS_SPREAD * whole
    nearest = min(option.disagreement for option in options)
    near = [option for option in options if option.disagreement <= NEARBY * nearest]
    disagreement = sum(option.disagreement for option in near)
    if disagreement == 0 or spread == 0:
        return Outlook(prior, spread)
    found = max(sum(option.loss.value for option in near) / disagreement, 0.0)
    noise = sum(option.noise for option in near) / disagreement
    weight = spread**2 / (spread**2 + noise**2)
    return Outlook((1 - weight) * prior + weight * found, spread * (1 - weight) ** 0.5)


@dataclass(frozen=True)
class Tolerance:
    """What a user allows: what may be lost, and a share of the multiply-accumulates in float, 0..1."""

    loss: float
    float_share: float

    def used_up(self, option: ScoredRecipe[Any], expected: Outlook) -> float:
        """How much of both an option takes, 0..2: what the user allows says what each is worth."""
        return _ratio(expected.at_most(option), self.loss) + _ratio(1 - option.int8_share, self.float_share)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def chosen(options: Sequence[ScoredRecipe[R]], tolerance: Tolerance, expected: Outlook) -> ScoredRecipe[R]:
    """The option to deploy. There is at least one.

    Of those whose upper bound is within the allowed loss, the one that uses the smallest part of the budget:
    a share of a percent in float is worth it if it makes the target much safer, and not if it gains nothing.
    If there is none, the one that is expected to lose least.
    """
    able = [option for option in options if expected.at_most(option) <= tolerance.loss]
    if not able:
        return min(options, key=expected.expected)
    return min(able, key=lambda option: (tolerance.used_up(option, expected), expected.expected(option)))


def pareto_front(options: Sequence[ScoredRecipe[R]], expected: Outlook) -> tuple[ScoredRecipe[R], ...]:
    """Options that no other beats in expected loss and in its share of INT8, most in INT8 first."""
    front: list[ScoredRecipe[R]] = []
    for option in sorted(options, key=lambda o: (-o.int8_share, expected.expected(o))):
        if not front or expected.expected(option) < expected.expected(front[-1]):
            front.append(option)
    return tuple(front)
