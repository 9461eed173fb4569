"""A range for each tensor: coordinate descent, the tensors first on which calibrators differ most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from calibrant.core.recipes import BETWEEN, Recipe
from calibrant.core.types import Range

# Ranges closer than this are the same to any model: a step more or less in a hundred.
LEAST_RATIO = 1.05


def blended(choice: str, ranges: Mapping[str, Range]) -> Range:
    """The range that ``choice`` names: a calibrator's, or with ``a~b`` the geometric mean of two.

    ranges: by calibrator. Raises KeyError for a calibrator that is not there.
    """
    first, is_between, second = choice.partition(BETWEEN)
    a = ranges[first]
    if not is_between:
        return a
    b = ranges[second]
    return Range(-_mean(-a.low, -b.low), _mean(a.high, b.high))


def improved_ranges(
    recipe: Recipe,
    ranges: Mapping[str, Mapping[str, Range]],
    agreement: Callable[[Recipe], float],
    may_go_on: Callable[[], bool],
) -> Recipe:
    """Give one tensor after the other the range under which the model agrees most with the float one.

    ranges: by calibrator, then by tensor. Tensors come in the order in which calibrators differ; for each the
    narrowest, the widest and the ranges between are tried. Stops when ``may_go_on`` says no.
    """
    best, reached = recipe, agreement(recipe)
    for tensor in _by_disagreement(ranges):
        for choice in _alternatives(best, tensor, ranges):
            if not may_go_on():
                return best
            tried = best.with_range(tensor, choice)
            found = agreement(tried)
            if found > reached:
                best, reached = tried, found
    return best


def _by_disagreement(ranges: Mapping[str, Mapping[str, Range]]) -> Sequence[str]:
    tensors = next(iter(ranges.values()))
    return sorted(tensors, key=lambda tensor: -_spread([found[tensor] for found in ranges.values()]))


def _alternatives(recipe: Recipe, tensor: str, ranges: Mapping[str, Mapping[str, Range]]) -> Iterator[str]:
    """Choices for one tensor that differ from what it has, the far ones first."""
    own = {name: found[tensor] for name, found in ranges.items()}
    current = blended(dict(recipe.ranges).get(tensor, recipe.calibrator), own)
    ordered = sorted(own, key=lambda name: own[name].amax)
    narrow, wide, middle = ordered[0], ordered[-1], ordered[len(ordered) // 2]
    seen = [current]
    for choice in (wide, narrow, middle, f"{narrow}{BETWEEN}{wide}"):
        candidate = blended(choice, own)
        if all(_spread([candidate, known]) >= LEAST_RATIO for known in seen):
            seen.append(candidate)
            yield choice


def _spread(found: Sequence[Range]) -> float:
    """The largest of the ranges over the smallest."""
    sizes = [chosen.amax for chosen in found]
    return max(sizes) / min(sizes) if min(sizes) > 0 else (math.inf if max(sizes) > 0 else 1.0)


def _mean(a: float, b: float) -> float:
    return math.copysign(math.sqrt(abs(a * b)), a) if a * b > 0 else (a + b) / 2
