"""Which of the measured models to deploy: one that should keep the target elsewhere, nearly all in INT8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.stages.optimization.recipe import Recipe
from calibrant.stages.recommend import Drop

# The share of the float model's mAP that is lost for each share of its detections on which the two disagree,
# and how far that differs from detector to detector (standard deviation): docs/adr/0010.
LOSS_PER_DISAGREEMENT, ITS_SPREAD = 0.2, 0.12
# The loss is told from models that disagree at most so many times as much as the closest one.
NEARBY = 1.5
# Standard deviations above the expected loss under which four of five measurements stay.
CAUTION = 0.84
_INTERVAL_WIDTHS = 2 * 1.96


@dataclass(frozen=True)
class Option:
    """A model that was measured on the images to select by.

    agreement: with the float model, on other images, 0..1. int8_share: of all multiply-accumulates of
    convolutions and matrix products, 0..1.
    """

    recipe: Recipe
    agreement: float
    int8_share: float
    drop: Drop

    @property
    def disagreement(self) -> float:
        """What is not agreement, 0..1."""
        return 1 - self.agreement

    @property
    def noise(self) -> float:
        """The standard deviation of its measured drop, points: what as many other images would have, too."""
        return (self.drop.high - self.drop.low) / _INTERVAL_WIDTHS


@dataclass(frozen=True)
class Outlook:
    """What models are expected to lose on images not seen, by how far they disagree with the float model.

    slope: points for a disagreement of 1. spread: its standard deviation.
    """

    slope: float
    spread: float

    def expected(self, option: Option) -> float:
        """Points that an option will lose. Never less than its own measurement leaves possible."""
        return max(self.slope * option.disagreement, option.drop.low)

    def at_most(self, option: Option) -> float:
        """Points that it will hardly exceed when it is measured on as many other images."""
        deviation = math.hypot(self.spread * option.disagreement, option.noise)
        return max(self.slope * option.disagreement + CAUTION * deviation, option.drop.low)


def outlook(options: Sequence[Option], float_points: float) -> Outlook:
    """What disagreement costs this detector: what it costs others, corrected by what was measured here.

    float_points: the float model's mAP. There is at least one option. Each option's measured drop has much
    noise, and all have it in common, as they are scored on the same images: that is why a handful of them
    count as one measurement, whose weight is what its interval allows.
    """
    prior, spread = LOSS_PER_DISAGREEMENT * float_points, ITS_SPREAD * float_points
    nearest = min(option.disagreement for option in options)
    near = [option for option in options if option.disagreement <= NEARBY * nearest]
    disagreement = sum(option.disagreement for option in near)
    if disagreement == 0 or spread == 0:
        return Outlook(prior, spread)
    found = max(sum(option.drop.points for option in near) / disagreement, 0.0)
    noise = sum(option.noise for option in near) / disagreement
    weight = spread**2 / (spread**2 + noise**2)
    return Outlook((1 - weight) * prior + weight * found, spread * (1 - weight) ** 0.5)


@dataclass(frozen=True)
class Tolerance:
    """What a user allows: points of mAP lost, and a share of the multiply-accumulates in float, 0..1."""

    drop: float
    float_share: float

    def used_up(self, option: Option, expected: Outlook) -> float:
        """How much of both an option takes, 0..2: what the user allows says what each is worth."""
        return _ratio(expected.at_most(option), self.drop) + _ratio(1 - option.int8_share, self.float_share)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def chosen(options: Sequence[Option], tolerance: Tolerance, expected: Outlook) -> Option:
    """The option to deploy. There is at least one.

    Of those that will hardly lose more than the tolerated points, the one that uses up least of the whole
    tolerance: a share of a percent in float is worth it where it makes the target much surer, and not
    where it wins nothing. Where there is none, the one that is expected to lose least.
    """
    able = [option for option in options if expected.at_most(option) <= tolerance.drop]
    if not able:
        return min(options, key=expected.expected)
    return min(able, key=lambda option: (tolerance.used_up(option, expected), expected.expected(option)))


def pareto_front(options: Sequence[Option], expected: Outlook) -> tuple[Option, ...]:
    """Options that no other beats in expected loss and in its share of INT8, most in INT8 first."""
    front: list[Option] = []
    for option in sorted(options, key=lambda o: (-o.int8_share, expected.expected(o))):
        if not front or expected.expected(option) < expected.expected(front[-1]):
            front.append(option)
    return tuple(front)
