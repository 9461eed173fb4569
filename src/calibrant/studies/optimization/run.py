"""An optimization from request to files: search on one half of the test samples, report on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from calibrant.artifacts.store import write_json, written_together
from calibrant.core.clock import Clock
from calibrant.core.errors import BaselineError, SettingsError
from calibrant.core.progress import Progress
from calibrant.core.recipes import NOWHERE, Recipe
from calibrant.stages.optimization.choice import ScoredRecipe, pareto_front
from calibrant.stages.recommend import doubt_of_baseline
from calibrant.studies.environment import environment
from calibrant.studies.optimization.deliver import OPTIONAL, deliver
from calibrant.studies.optimization.goal import write_goal
from calibrant.studies.optimization.measure import (
    REPORT,
    SELECT,
    Making,
    Measurer,
    R,
    Samples,
    making,
    split_in_two,
)
from calibrant.studies.optimization.model_builder import ModelBuilder
from calibrant.studies.optimization.recipe_file import recipe_file_of
from calibrant.studies.optimization.reporting import Report
from calibrant.studies.optimization.result import OptimizationResult, Point
from calibrant.studies.optimization.search import Findings, Goal, Search
from calibrant.studies.result import ScoreValue
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
        samples = samples_of(study, goal.seed)
        builder = ModelBuilder(
            study.plan, task, study.collector, study.calibration, study.calibrators, progress
        )
        made = making(builder, float_model, task)
        measurer: Measurer[Recipe] = measurer_of(study, made, goal.seed, out, progress_is_kept)
        _require_baseline(study, measurer)
        search = Search(builder, measurer, goal, budget, progress, len(samples.select))
        findings = search.run()
        with written_together(out, last=RESULT, of_old=OPTIONAL) as place:
            result = _result(study, goal, budget, place, search.best(findings), findings, builder, measurer)
            result = replace(result, out=str(out))
            write_json(place / RESULT, result.to_dict())
    return result


def _require_baseline(study: Study, measurer: Measurer[Recipe]) -> None:
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
    best: ScoredRecipe[Recipe],
    findings: Findings,
    builder: ModelBuilder,
    measurer: Measurer[Recipe],
) -> OptimizationResult:
    task, report_samples = study.task, len(study.test) - len(study.test) // 2
    report: Report[Recipe] = Report(measurer.measured, report_samples, goal.seed)
    front = pareto_front((best, *findings.all), findings.outlook)

    def point(option: ScoredRecipe[Recipe]) -> Point:
        name = "best single calibrator" if option is findings.best_single else name_of_recipe(option.recipe)
        explanation = builder.quantized(option.recipe).explained(option.recipe)
        return report.point(option, findings.outlook, name, explanation)

    points = [point(option) for option in dict.fromkeys((best, *front))]
    single = point(findings.best_single)
    made = builder.quantized(best.recipe)
    floats = [measurer.measured(None, part) for part in (SELECT, REPORT)]
    return OptimizationResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=study.model,
        environment=environment(study.runtime),
        settings={**study.settings.to_dict(), "max_loss": goal.max_loss, "least_int8": goal.least_int8},
        select_samples=len(study.test) // 2,
        report_samples=report_samples,
        calibration_samples=len(study.calibration),
        max_loss=goal.max_loss,
        metric=task.metric,
        float_select=ScoreValue.of(floats[0].score),
        float_report=ScoreValue.of(floats[1].score),
        float_latency_ms=floats[1].latency_ms,
        chosen=points[0],
        best_single=single,
        gain_over_single=report.gain(best.recipe, findings.best_single.recipe),
        front=tuple(sorted(points, key=lambda point: -point.int8_share)),
        ablation=tuple(
            report.without(technique, best.recipe, best.recipe.without(technique))
            for technique in best.recipe.techniques
        ),
        files=deliver(recipe_file_of(study, best.recipe, made.explained(best.recipe)), made, out),
        models_measured=len(findings.options),
        seconds=round(budget.spent, 1),
        was_interrupted=findings.was_interrupted,
        warnings=study.warnings,
        task=task.name,
    )


def name_of_recipe(recipe: Recipe) -> str:
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


def samples_of(study: Study, seed: int) -> Samples:
    """The halves of a study's test samples, and those of the first to compare with the float model on."""
    select, report = split_in_two(len(study.test), seed)
    chosen = [study.test[i] for i in select]
    return Samples(chosen[:PROXY_SAMPLES], chosen, [study.test[i] for i in report])


def measurer_of(
    study: Study, made: Making[R], seed: int, out: Path, on_kept: Callable[[], None] = lambda: None
) -> Measurer[R]:
    """What measures a study's recipes and keeps it in ``out``."""
    samples = samples_of(study, seed)
    identity = _identity(study, seed)
    return Measurer(made, study.task, study.runtime, samples, out / MEASUREMENTS, identity, on_kept)


def _identity(study: Study, seed: int) -> str:
    # Where the samples lie decides nothing, and a relative path is an absolute one when work goes on.
    data = {
        name: value for name, value in asdict(study.data).items() if name not in ("dataset", "calibration")
    }
    content = (study.context.key({}), data, seed, PROXY_SAMPLES)
    return hashlib.sha256(repr(content).encode()).hexdigest()
