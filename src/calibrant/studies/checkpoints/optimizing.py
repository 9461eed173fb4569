"""The best mixture of formats within a budget: measured costs, a shortlist, then end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.layers import CheckpointLayer
from calibrant.models.checkpoint.sensitivity import GroupCost, sensitivities
from calibrant.models.checkpoint.weights import Weights
from calibrant.studies.checkpoints.allocation import (
    Allocation,
    allocation_bytes,
    choose_by_halves,
    choose_smallest_by_halves,
    shortlist,
)
from calibrant.studies.checkpoints.candidates import Candidate
from calibrant.studies.checkpoints.recipes import CheckpointRecipe, wanted_by
from calibrant.studies.checkpoints.result import CheckpointStudy
from calibrant.studies.checkpoints.run import CheckpointStudyPlan, Chooser, quantizable, run_checkpoint_study
from calibrant.studies.checkpoints.verdict import Choice, Contender, Documents


@dataclass(frozen=True)
class Budget:
    """What may be spent, one of the three. bits: a quantized weight, scales and zero points included; total:
    bytes of the whole model; max_kl: nats a token that may be lost.
    """

    bits: float | None = None
    total: int | None = None
    max_kl: float | None = None


STEPS = 5
"""Budgets between the smallest and the largest uniform recipe that are tried for ``max_kl``."""

DOCUMENTS = 8
"""Of the calibration set, on which each group's cost is measured."""


def optimize_checkpoint_bits(
    plan: CheckpointStudyPlan, budget: Budget, out: Path, progress: Progress
) -> CheckpointStudy:
    """Allocate bits, measure the shortlist beside the uniform recipes, and recommend within the budget.

    Two readings of the weights. Raises SettingsError for a budget that nothing fits, and for none or two.
    """
    layers = quantizable(plan.checkpoint)
    size = sum(layer.size for layer in layers.values())
    rest = plan.checkpoint.bytes - sum(layer.bytes for layer in layers.values())
    if sum(each is not None for each in (budget.bits, budget.total, budget.max_kl)) != 1:
        raise SettingsError("a budget is needed, and one: --bits 4.25, --gb 6 or --max-kl 0.02")
    weights = Weights(plan.checkpoint)
    costs = sensitivities(
        Architecture(plan.checkpoint, weights, plan.device),
        [tokens.numbers for tokens in plan.data.calibration],
        [tokens.numbers for tokens in plan.data.calibration[:DOCUMENTS]],
        [Candidate(recipe.name, dict.fromkeys(layers, recipe), weights) for recipe in plan.recipes],
        wanted_by(plan.recipes),
        progress,
    )
    uniform = tuple(recipe.name for recipe in plan.recipes)
    if budget.max_kl is not None:
        mixed = _between(costs, plan.recipes, layers)
        chooser: Chooser = partial(_smallest_within, max_kl=budget.max_kl, seed=plan.seed)
    else:
        spend = int(budget.bits * size / 8) if budget.bits is not None else (budget.total or 0) - rest
        mixed = shortlist(costs, plan.recipes, layers, spend)
        chooser = partial(_chosen, uniform=uniform, budget=rest + spend, seed=plan.seed)
    return run_checkpoint_study(replace(plan, mixed=mixed, chooser=chooser), out, progress)


def _between(
    costs: Sequence[GroupCost], recipes: Sequence[CheckpointRecipe], layers: Mapping[str, CheckpointLayer]
) -> dict[str, Allocation]:
    """Allocations of several sizes between the smallest and the largest uniform recipe."""
    sizes = [allocation_bytes(dict.fromkeys(layers, recipe), layers) for recipe in recipes]
    weights = sum(layer.size for layer in layers.values())
    found: dict[str, Allocation] = {}
    for share in (place / (STEPS + 1) for place in range(1, STEPS + 1)):
        spend = int(min(sizes) + share * (max(sizes) - min(sizes)))
        for name, made in shortlist(costs, recipes, layers, spend).items():
            if name == "mixed:even" and made not in found.values():
                found[f"{name}-{8 * spend / weights:.2f}"] = made
    return found


def _smallest_within(
    contenders: Sequence[Contender],
    _documents: Documents,
    _max_loss: float | None,
    *,
    max_kl: float,
    seed: int,
) -> Choice | None:
    return choose_smallest_by_halves(contenders, max_kl, seed)


def _chosen(
    contenders: Sequence[Contender],
    _documents: Documents,
    _max_loss: float | None,
    *,
    uniform: Sequence[str],
    budget: int,
    seed: int,
) -> Choice | None:
    return choose_by_halves(contenders, uniform, budget, seed)
