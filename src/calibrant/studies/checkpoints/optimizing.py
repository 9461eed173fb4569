"""The best mixture of formats within a budget: measured costs, a shortlist, then end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.sensitivity import sensitivities
from calibrant.models.checkpoint.weights import Weights
from calibrant.studies.checkpoints.allocation import choose_by_halves, shortlist
from calibrant.studies.checkpoints.candidates import Candidate
from calibrant.studies.checkpoints.recipes import wanted_by
from calibrant.studies.checkpoints.result import CheckpointStudy
from calibrant.studies.checkpoints.run import CheckpointStudyPlan, quantizable, run_checkpoint_study
from calibrant.studies.checkpoints.verdict import Choice, Contender, Documents

DOCUMENTS = 8
"""Of the calibration set, on which each group's cost is measured."""


def optimize_checkpoint_bits(
    plan: CheckpointStudyPlan, bits: float | None, total_bytes: int | None, out: Path, progress: Progress
) -> CheckpointStudy:
    """Allocate bits, measure the shortlist beside the uniform recipes, and recommend within the budget.

    bits: a quantized weight, scales and zero points included; total_bytes: of the whole model. One of both.
    Two readings of the weights. Raises SettingsError for a budget that nothing fits.
    """
    layers = quantizable(plan.checkpoint)
    size = sum(layer.size for layer in layers.values())
    rest = plan.checkpoint.bytes - sum(layer.bytes for layer in layers.values())
    if bits is None and total_bytes is None:
        raise SettingsError("a budget is needed: --bits 4.25, or --gb 6")
    budget = int(bits * size / 8) if bits is not None else (total_bytes or 0) - rest
    weights = Weights(plan.checkpoint)
    costs = sensitivities(
        Architecture(plan.checkpoint, weights),
        [tokens.numbers for tokens in plan.data.calibration],
        [tokens.numbers for tokens in plan.data.calibration[:DOCUMENTS]],
        [Candidate(recipe.name, dict.fromkeys(layers, recipe), weights) for recipe in plan.recipes],
        wanted_by(plan.recipes),
        progress,
    )
    mixed = shortlist(costs, plan.recipes, layers, budget)
    uniform = tuple(recipe.name for recipe in plan.recipes)
    chooser = partial(_chosen, uniform=uniform, budget=rest + budget, seed=plan.seed)
    return run_checkpoint_study(replace(plan, mixed=mixed, chooser=chooser), out, progress)


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
