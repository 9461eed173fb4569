"""Bits given where they help most: from measured costs, within a budget of real bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.metrics import Loss
from calibrant.models.checkpoint.layers import CheckpointLayer
from calibrant.models.checkpoint.sensitivity import GroupCost
from calibrant.studies.checkpoints.recipes import CheckpointRecipe, formats_fit, stored_bytes
from calibrant.studies.checkpoints.verdict import Choice, Contender, Documents
from calibrant.tasks.generation.evidence import DIVERGENCE

Allocation = Mapping[str, CheckpointRecipe]
"""A recipe for each layer, by its name."""

# How much an error counts by the place of its block, 0 first to 1 last; which is right is measured.
_WEIGHTINGS: Mapping[str, Callable[[float], float]] = {
    "even": lambda _place: 1.0,
    "early": lambda place: 2.0 - 1.5 * place,
    "late": lambda place: 0.5 + 1.5 * place,
}


@dataclass(frozen=True)
class _Step:
    """What moving a group to a larger format gains a byte."""

    gain: float
    group: int
    recipe: CheckpointRecipe
    bytes: int


def shortlist(
    costs: Sequence[GroupCost],
    recipes: Sequence[CheckpointRecipe],
    layers: Mapping[str, CheckpointLayer],
    budget: int,
) -> dict[str, Allocation]:
    """Different allocations of at most ``budget`` bytes, by name.

    budget: of the quantized layers, with scales and zero points. Raises SettingsError where not even the
    smallest formats fit.
    """
    last = max(1, max(cost.block for cost in costs))
    found: dict[str, Allocation] = {}
    for name, weighting in _WEIGHTINGS.items():
        weights = [weighting(cost.block / last) for cost in costs]
        made = _allocated(costs, weights, recipes, layers, budget)
        if made not in found.values():
            found[f"mixed:{name}"] = made
    return found


def allocation_bytes(allocation: Allocation, layers: Mapping[str, CheckpointLayer]) -> int:
    """Of the layers, as they are stored."""
    return sum(
        stored_bytes(
            recipe.formats.weights if formats_fit(recipe.formats, layers[name].shape) else None, layers[name]
        )
        for name, recipe in allocation.items()
    )


def _allocated(
    costs: Sequence[GroupCost],
    weights: Sequence[float],
    recipes: Sequence[CheckpointRecipe],
    layers: Mapping[str, CheckpointLayer],
    budget: int,
) -> Allocation:
    """Start with the smallest formats, and take the step that gains most a byte while it fits."""
    sizes = [
        {recipe: allocation_bytes(_of(cost, recipe, layers), layers) for recipe in recipes} for cost in costs
    ]
    chosen = [min(recipes, key=lambda r, size=size: (size[r], cost.errors[r.name]))  # type: ignore[misc]
              for cost, size in zip(costs, sizes, strict=True)]  # fmt: skip
    spent = sum(size[recipe] for size, recipe in zip(sizes, chosen, strict=True))
    if spent > budget:
        raise SettingsError(
            f"the smallest formats take {spent} bytes, and the budget is {budget}; allow more, or add a "
            "smaller format, e.g. --formats w3a16-g32,w4a16-g32"
        )
    while True:
        steps = [
            _Step(
                weights[group] * (cost.errors[chosen[group].name] - cost.errors[recipe.name]) / more,
                group,
                recipe,
                more,
            )
            for group, cost in enumerate(costs)
            for recipe in recipes
            if 0 < (more := sizes[group][recipe] - sizes[group][chosen[group]]) <= budget - spent
        ]
        best = max(steps, key=lambda step: step.gain, default=None)
        if best is None or best.gain <= 0:
            break
        chosen[best.group] = best.recipe
        spent += best.bytes
    return {
        name: recipe
        for cost, each in zip(costs, chosen, strict=True)
        for name, recipe in _of(cost, each, layers).items()
    }


def _of(cost: GroupCost, recipe: CheckpointRecipe, layers: Mapping[str, CheckpointLayer]) -> Allocation:
    return {name: recipe for name in cost.products if name in layers}


def choose_by_halves(
    contenders: Sequence[Contender], uniform: Sequence[str], budget: int, seed: int
) -> Choice | None:
    """The contender that is best on one half of the documents, told by the other half.

    budget: bytes of the whole model that a contender may have. uniform: names of those in one format; the
    choice is never worse than the best of them that is within the budget. None: none is.
    """
    within = [c for c in contenders if c.bytes <= budget]
    if not within:
        return None
    order = np.random.default_rng(seed).permutation(len(within[0].evidence.tokens))
    first, second = np.array_split(order, 2)
    halves = {c.name: (c.evidence.of(first).kl, c.evidence.of(second).kl) for c in within}
    best = min(within, key=lambda c: halves[c.name][0])
    plain = [c for c in within if c.name in uniform]
    rival = min(plain, key=lambda c: halves[c.name][0]) if plain else None
    told = f"chosen on {len(first)} documents; on the other {len(second)} its KL is "
    if rival is None or rival is best:
        reason = f"{told}{DIVERGENCE.amount(halves[best.name][1])}"
        return Choice(best.name, reason, (), halves[best.name][1])
    chosen = best if halves[best.name][1] <= halves[rival.name][1] else rival
    other = rival if chosen is best else best
    half = [Contender(c.name, c.simplicity, c.bytes, c.evidence.of(second)) for c in (chosen, other)]
    gained = Documents(len(second), seed).difference(half[0], half[1])
    reason = (
        f"{told}{DIVERGENCE.amount(halves[chosen.name][1])}, that of {other.name} "
        f"{DIVERGENCE.amount(gained.value)} more (95 % interval {gained.interval(DIVERGENCE)})"
    )
    return Choice(chosen.name, reason, () if gained.is_real else (other.name,), halves[chosen.name][1])


def choose_smallest_by_halves(contenders: Sequence[Contender], max_kl: float, seed: int) -> Choice | None:
    """The smallest contender whose KL is within ``max_kl`` on one half of the documents, told by the other.

    Within: the upper end of its 95 % interval. Where it does not hold on the other half, the next one is
    taken: what is recommended was within on both. None: none is.
    """
    order = np.random.default_rng(seed).permutation(len(contenders[0].evidence.tokens))
    halves = [np.sort(half) for half in np.array_split(order, 2)]
    parts = [Documents(len(half), seed) for half in halves]

    def losses(contender: Contender) -> list[Loss]:
        return [
            part.loss(
                Contender(contender.name, contender.simplicity, contender.bytes, contender.evidence.of(half))
            )
            for part, half in zip(parts, halves, strict=True)
        ]

    for contender in sorted(contenders, key=lambda c: (c.bytes, c.simplicity, c.evidence.kl)):
        first, second = losses(contender)
        if first.high <= max_kl and second.high <= max_kl:
            reason = (
                f"the smallest within {DIVERGENCE.amount(max_kl)}; chosen on {len(halves[0])} documents; on "
                f"the other {len(halves[1])} its KL is {DIVERGENCE.amount(second.value)} "
                f"(95 % interval {second.interval(DIVERGENCE)})"
            )
            return Choice(contender.name, reason, (), second.value)
    return None
