"""Which of the measured models to deploy: the most in INT8 that keeps the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.stages.optimization.recipe import Recipe
from calibrant.stages.recommend import Candidate, Drop, PairedBootstrap


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
    candidate: Candidate


def chosen(options: Sequence[Option], max_drop: float, bootstrap: PairedBootstrap) -> Option:
    """The option to deploy. There is at least one.

    Of those whose drop is at most ``max_drop`` (points) the ones with most in INT8; where none is, all. Of
    those that the test set cannot tell from the best of them, the one that agrees most with the float model:
    that figure has less noise than mAP, so that luck on the selecting images decides little.
    """
    able = [option for option in options if option.drop.points <= max_drop]
    most = max((option.int8_share for option in able), default=0.0)
    running = [option for option in able if option.int8_share == most] or list(options)
    best = min(running, key=lambda option: option.drop.points)
    level = [o for o in running if o is best or not bootstrap.drop(best.candidate, o.candidate).is_real]
    return max(level, key=lambda option: option.agreement)


def pareto_front(options: Sequence[Option]) -> tuple[Option, ...]:
    """Options that no other beats in mAP and in its share of INT8, most in INT8 first."""
    front: list[Option] = []
    for option in sorted(options, key=lambda o: (-o.int8_share, o.drop.points)):
        if not front or option.drop.points < front[-1].drop.points:
            front.append(option)
    return tuple(front)
