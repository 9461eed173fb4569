"""An optimization from request to files: search on one half of the test samples, report on the other."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from calibrant.artifacts.store import write_json, written_together
from calibrant.core.clock import Clock
from calibrant.core.errors import BaselineError, SettingsError
from calibrant.core.metrics import Loss
from calibrant.core.progress import Progress
from calibrant.core.recipes import NOWHERE, Recipe
from calibrant.stages.optimization.choice import ScoredRecipe, pareto_front
from calibrant.stages.recommend import PairedBootstrap, doubt_of_baseline
from calibrant.studies.environment import environment
from calibrant.studies.optimization.deliver import OPTIONAL, deliver
from calibrant.studies.optimization.goal import write_goal
from calibrant.studies.optimization.measure import (
    REPORT,
    SELECT,
    Measurer,
    PartEvaluation,
    Samples,
    split_in_two,
)
from calibrant.studies.optimization.model_builder import ModelBuilder, Quantized
from calibrant.studies.optimization.recipe_file import RecipeFile
from calibrant.studies.optimization.result import (
    Ablation,
    OptimizationResult,
    PartResult,
    Point,
)
from calibrant.studies.optimization.search import Findings, Goal, Search, candidate_of
from calibrant.studies.result import ScoreValue, rounded_loss
from calibrant.studies.run import Study, fixed_float_model
from calibrant.studies.verdict import what_to_check

RESULT = "optimization.json"
MEASUREMENTS = "measurements"
PROXY_SAMPLES = 48
FEWEST_SAMPLES = 10


def run_optimization(
    study: Study, goal: Goal, budget: Clock, out: Path, progress: Progress
) -> OptimizationResult:
    """Search, choose, report and write the files to deploy.

    Measurements are kept in ``out`` as they are made: the same call continues an interrupted search.
    Raises SettingsError where the test set is too small to be halved, BaselineError where the float model
    itself cannot be compared with, CalibrantError where nothing works.
    """
    task = study.task
    if len(study.test) < FEWEST_SAMPLES:
        raise SettingsError(
            f"{len(study.test)} test {task.words.samples} cannot be halved to select and to report; "
            f"give at least {FEWEST_SAMPLES}"
        )
    with ExitStack() as stack:
        float_model = stack.enter_context(fixed_float_model(study, out))
        progress_is_kept = partial(write_goal, goal, budget, out)
        progress_is_kept()
        samples = _samples(study, goal.seed)
        builder = ModelBuilder(
            study.plan, task, study.collector, study.calibration, study.calibrators, progress
        )
        measurer = Measurer(
            builder,
            float_model,
            task,
            study.runtime,
            samples,
            out / MEASUREMENTS,
            _identity(study, goal),
            progress_is_kept,
        )
        _require_baseline(study, measurer)
        search = Search(builder, measurer, goal, budget, progress, len(samples.select))
        findings = search.run()
        report = _Report(builder, measurer, len(samples.report), goal, progress)
        with written_together(out, last=RESULT, of_old=OPTIONAL) as place:
            result = _result(study, goal, budget, place, search.best(findings), findings, report)
            result = replace(result, out=str(out))
            write_json(place / RESULT, result.to_dict())
    return result


def _require_baseline(study: Study, measurer: Measurer) -> None:
    """Refuse to search where the float model itself scores next to nothing, on either half."""
    for part in (SELECT, REPORT):
        score = measurer.measured(None, part).score
        doubt = doubt_of_baseline(score.metric, score.value)
        if doubt:
            raise BaselineError("; ".join((doubt, *what_to_check(study.model, study.data, score.value))))


def _result(
    study: Study,
    goal: Goal,
    budget: Clock,
    out: Path,
    best: ScoredRecipe,
    findings: Findings,
    report: _Report,
) -> OptimizationResult:
    task = study.task
    front = pareto_front((best, *findings.all), findings.outlook)
    points = [report.point(option, findings) for option in dict.fromkeys((best, *front))]
    single = report.point(findings.best_single, findings)
    gain = report.gain(best.recipe, findings.best_single.recipe)
    made = report.builder.quantized(best.recipe)
    floats = [report.measurer.measured(None, part) for part in (SELECT, REPORT)]
    return OptimizationResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=study.model,
        environment=environment(study.runtime),
        settings={**study.settings.to_dict(), "max_loss": goal.max_loss, "least_int8": goal.least_int8},
        select_samples=len(study.test) // 2,
        report_samples=len(study.test) - len(study.test) // 2,
        calibration_samples=len(study.calibration),
        max_loss=goal.max_loss,
        metric=task.metric,
        float_select=ScoreValue.of(floats[0].score),
        float_report=ScoreValue.of(floats[1].score),
        float_latency_ms=floats[1].latency_ms,
        chosen=points[0],
        best_single=single,
        gain_over_single=gain,
        front=tuple(sorted(points, key=lambda point: -point.int8_share)),
        ablation=report.ablation(best.recipe),
        files=deliver(_recipe_file(study, best.recipe, made), made, out),
        models_measured=len(findings.options),
        seconds=round(budget.spent, 1),
        was_interrupted=findings.was_interrupted,
        warnings=study.warnings,
        task=task.name,
    )


class _Report:
    """Figures on the samples that the search never looked at."""

    def __init__(
        self, builder: ModelBuilder, measurer: Measurer, samples: int, goal: Goal, progress: Progress
    ) -> None:
        self.builder, self.measurer = builder, measurer
        self._bootstrap, self._progress = PairedBootstrap(samples, goal.seed), progress

    def point(self, option: ScoredRecipe, findings: Findings) -> Point:
        """An option with its loss on both halves."""
        found = self.measurer.measured(option.recipe, REPORT)
        name = "best single calibrator" if option is findings.best_single else _name(option.recipe)
        return Point(
            name=name,
            explanation=self.builder.quantized(option.recipe).explained(option.recipe),
            recipe=option.recipe.to_dict(),
            int8_share=round(option.int8_share, 4),
            agreement=round(option.agreement, 4),
            expected=round(findings.outlook.expected(option), 4),
            at_most=round(findings.outlook.at_most(option), 4),
            select=_part(self.measurer.measured(option.recipe, SELECT), option.loss),
            report=_part(found, self._loss(None, option.recipe)),
            latency_ms=found.latency_ms,
        )

    def gain(self, recipe: Recipe, over: Recipe) -> Loss:
        """What ``over`` loses against ``recipe``."""
        return self._loss(recipe, over)

    def ablation(self, recipe: Recipe) -> tuple[Ablation, ...]:
        """What is lost without one technique."""
        return tuple(self._without(recipe, technique) for technique in recipe.techniques)

    def _without(self, recipe: Recipe, technique: str) -> Ablation:
        other = recipe.without(technique)
        score = self.measurer.measured(other, REPORT).score
        gain = rounded_loss(self._loss(recipe, other), score.metric)
        return Ablation(technique, score.metric.stored(score.value), gain)

    def _loss(self, reference: Recipe | None, other: Recipe) -> Loss:
        pair = [
            candidate_of(recipe.key if recipe else "fp32", self.measurer.measured(recipe, REPORT))
            for recipe in (reference, other)
        ]
        return self._bootstrap.loss(*pair)


def _recipe_file(study: Study, recipe: Recipe, made: Quantized) -> RecipeFile:
    return RecipeFile(
        recipe=recipe,
        model=Path(study.model.path).name,
        model_sha256=study.model.sha256,
        scheme=study.settings.scheme,
        calibration_ids_sha256=study.data.calibration_ids_sha256,
        explanation=made.explained(recipe),
        exclude=study.plan.points.kept_float,
        input_shape=study.settings.input_shape,
    )


def _name(recipe: Recipe) -> str:
    """A recipe in a few words, to tell it from others."""
    parts = [recipe.calibrator]
    if recipe.equalize is not None:
        reach = f"all {recipe.equalize.strength:g}" if recipe.equalize.strength else "depthwise"
        parts.append(f"equalized ({reach}, {recipe.equalize.channels})")
    if recipe.zero_points != NOWHERE:
        parts.append(f"zero points ({recipe.zero_points})")
    if recipe.round_weights:
        parts.append("weights rounded together")
    elif recipe.correct_bias:
        parts.append("biases corrected")
    if recipe.float_functions:
        parts.append("functions in float")
    if recipe.ranges:
        parts.append(f"{len(recipe.ranges)} ranges")
    if recipe.exclude:
        parts.append(f"{len(recipe.exclude)} in float")
    return ", ".join(parts)


def _part(found: PartEvaluation, lost: Loss) -> PartResult:
    metric = found.score.metric
    return PartResult(metric.stored(found.score.value), rounded_loss(lost, metric))


def _samples(study: Study, seed: int) -> Samples:
    select, report = split_in_two(len(study.test), seed)
    chosen = [study.test[i] for i in select]
    return Samples(chosen[:PROXY_SAMPLES], chosen, [study.test[i] for i in report])


def _identity(study: Study, goal: Goal) -> str:
    content = (study.context.key({}), asdict(study.data), goal.seed, PROXY_SAMPLES)
    return hashlib.sha256(repr(content).encode()).hexdigest()
