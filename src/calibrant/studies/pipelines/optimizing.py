"""Optimizing a model of several files: each part's own search beside the others in float, then all together.

What is put together are the recipe that each part's search chose, its best calibrator alone, and the part in
float, one part at a time: their number grows with the parts'. As in a search of one file, what is deployed is
chosen on one half of the test samples and reported on the other; all parts have the same halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from calibrant.artifacts.checksums import write_checksums
from calibrant.artifacts.store import json_bytes, write_bytes, written_together
from calibrant.artifacts.yaml_files import write_yaml
from calibrant.core.clock import Clock
from calibrant.core.errors import DataError
from calibrant.core.progress import Progress, SayingOnce
from calibrant.core.reading import is_regular
from calibrant.core.recipes import PartsRecipe, Recipe
from calibrant.core.scratch import ScratchFolder
from calibrant.stages.optimization.choice import ScoredRecipe, Tolerance, chosen, outlook, pareto_front
from calibrant.stages.recommend import PairedBootstrap
from calibrant.studies.environment import environment
from calibrant.studies.optimization.deliver import RECIPE
from calibrant.studies.optimization.goal import read_goal, write_goal
from calibrant.studies.optimization.measure import (
    REPORT,
    SELECT,
    MadeFile,
    Measurer,
    PartEvaluation,
    making,
)
from calibrant.studies.optimization.model_builder import ModelBuilder
from calibrant.studies.optimization.recipe_file import of_parts, recipe_file_of
from calibrant.studies.optimization.reporting import Report, candidate_of
from calibrant.studies.optimization.result import (
    OptimizationFiles,
    OptimizationResult,
    Point,
    read_optimization,
)
from calibrant.studies.optimization.run import (
    RESULT,
    measurer_of,
    name_of_recipe,
    run_optimization,
)
from calibrant.studies.optimization.search import Goal
from calibrant.studies.pipelines.deliver import FOLDER, copied_parts
from calibrant.studies.pipelines.prepare import PipelineStudy, part_task
from calibrant.studies.pipelines.summary import whole_summary
from calibrant.studies.request import REQUEST, read_request
from calibrant.studies.result import ScoreValue
from calibrant.studies.run import Study

ScoredWhole = ScoredRecipe[PartsRecipe]


def optimize_pipeline(
    pipeline: PipelineStudy, goal: Goal, budget: Clock, out: Path, progress: Progress
) -> OptimizationResult:
    """Search for each part in a folder of its own, choose among what they found together, report, and write
    the whole to deploy.

    The budget is of searching and shared out evenly; what a part leaves is the next one's. Reporting comes on
    top, as of one file. The same call continues an interrupted search. Raises as run_optimization, and
    KeyboardInterrupt where parts are left to search.
    """
    notes = SayingOnce(progress)
    write_goal(goal, budget, out)
    found: dict[str, OptimizationResult] = {}
    share, unused = None if budget.budget is None else budget.budget / len(pipeline.studies), 0.0
    for part in pipeline.studies:
        seconds = None if share is None else share + unused
        found[part] = _searched(pipeline, part, goal, seconds, out / part, notes)
        if seconds is not None:
            unused = max(seconds - found[part].seconds, 0.0)
        write_goal(goal, budget, out)
        if found[part].was_interrupted and len(found) < len(pipeline.studies):
            raise KeyboardInterrupt
    with ScratchFolder() as scratch:
        wholes = _Wholes(pipeline, found, goal, out, scratch, notes)
        with written_together(out, last=RESULT) as place:
            result = replace(_result(wholes, goal, budget, place), out=str(out))
            content = json_bytes(result.to_dict())
            files = (path for path in (place / FOLDER).rglob("*") if path.is_file())
            delivered = [path.relative_to(place).as_posix() for path in files]
            write_checksums(place, delivered, {RESULT: content})
            write_bytes(place / RESULT, content)
    return result


def _searched(
    pipeline: PipelineStudy, part: str, goal: Goal, seconds: float | None, folder: Path, progress: Progress
) -> OptimizationResult:
    """A part's search, or what one in this folder found before."""
    request, own = pipeline.request_of(part), replace(goal, max_loss=goal.max_loss / len(pipeline.studies))
    clock = Clock(seconds)
    try:
        asked = read_goal(folder)
        if asked.goal == own and read_request(folder) == request.absolute():
            clock = Clock(asked.seconds, before=asked.spent)
            known = read_optimization(folder / RESULT)
            if not known.was_interrupted and is_regular(folder / known.files.qdq):
                return known
    except DataError:  # nothing, or nothing whole, was begun there
        pass
    folder.mkdir(exist_ok=True)
    write_bytes(folder / REQUEST, json_bytes(request.to_dict()))
    return run_optimization(pipeline.studies[part], own, clock, folder, progress)


@dataclass(frozen=True)
class _Known:
    """A recipe that a part's search measured."""

    recipe: Recipe
    point: Point


class _Part:
    """What one part's search found, with what makes its models and has measured them."""

    def __init__(
        self,
        study: Study,
        found: OptimizationResult,
        float_model: Path,
        seed: int,
        out: Path,
        progress: Progress,
    ) -> None:
        self.study, self.found, self.out, self.float_model = study, found, out, float_model
        self.chosen = _Known(Recipe.from_dict(found.chosen.recipe), found.chosen)
        self.single = _Known(Recipe.from_dict(found.best_single.recipe), found.best_single)
        self._progress = progress
        made = making(self.builder, float_model, study.task)
        self.measurer: Measurer[Recipe] = measurer_of(study, made, seed, out)

    @cached_property
    def builder(self) -> ModelBuilder:
        """Makes models again, for as long as they are put together."""
        study = self.study
        return ModelBuilder(
            study.plan, study.task, study.collector, study.calibration, study.calibrators, self._progress
        )

    def point(self, recipe: Recipe) -> Point:
        """What is known of one of its two recipes."""
        return self.chosen.point if recipe == self.chosen.recipe else self.single.point

    def file(self, recipe: Recipe, scratch: Path) -> Path:
        """A recipe's model: as its search left it, or made again."""
        if recipe == self.chosen.recipe:
            return self.out / self.found.files.qdq
        path = scratch / f"{self.out.name}-{recipe.key}.qdq.onnx"
        if not path.exists():
            self.builder.quantized(recipe).write(path)
        return path


class _Wholes:
    """What parts' searches found, put together."""

    def __init__(
        self,
        pipeline: PipelineStudy,
        found: Mapping[str, OptimizationResult],
        goal: Goal,
        out: Path,
        scratch: Path,
        progress: Progress,
    ) -> None:
        self.pipeline, self._scratch = pipeline, scratch
        self.parts = {
            part: _Part(study, found[part], pipeline.opened.files[part], goal.seed, out / part, progress)
            for part, study in pipeline.studies.items()
        }
        self.first = next(iter(self.parts.values()))
        self._measurer: Measurer[PartsRecipe] = measurer_of(self.first.study, self._made, goal.seed, out)
        self._bootstrap = PairedBootstrap(self.first.found.select_samples, goal.seed)
        self._weights = pipeline.weights

    @property
    def whole(self) -> PartsRecipe:
        """All parts, each as its search chose it."""
        return PartsRecipe(tuple((name, part.chosen.recipe) for name, part in self.parts.items()))

    @property
    def singles(self) -> PartsRecipe:
        """All parts, each by its best calibrator alone."""
        return PartsRecipe(tuple((name, part.single.recipe) for name, part in self.parts.items()))

    def options(self) -> tuple[ScoredWhole, ...]:
        """What is chosen from: all parts, their best calibrators, and all with one part otherwise."""
        whole = self.whole
        changed = [
            whole.with_part(name, other)
            for name, part in self.parts.items()
            for other in (part.single.recipe, None)
        ]
        recipes = dict.fromkeys([whole, self.singles, *(recipe for recipe in changed if recipe.parts)])
        return tuple(map(self._option, recipes))

    def measured(self, recipe: PartsRecipe | None, half: str) -> PartEvaluation:
        """What a recipe, or the float model (None), reaches on one half of the test samples.

        What one part's search has measured of it alone is not measured again.
        """
        if recipe is None:
            return self.first.measurer.measured(None, half)
        if len(recipe.parts) == 1:
            ((name, own),) = recipe.parts
            return self.parts[name].measurer.measured(own, half)
        return self._measurer.measured(recipe, half)

    def _agreement(self, recipe: PartsRecipe) -> float:
        if len(recipe.parts) == 1:
            ((name, own),) = recipe.parts
            return self.parts[name].point(own).agreement
        return self._measurer.agreement(recipe)

    def _option(self, recipe: PartsRecipe) -> ScoredWhole:
        before, after = (self.measured(each, SELECT) for each in (None, recipe))
        lost = self._bootstrap.loss(candidate_of("fp32", before), candidate_of(recipe.key, after))
        return ScoredRecipe(recipe, self._agreement(recipe), self._int8_share(recipe), lost)

    def _int8_share(self, recipe: PartsRecipe) -> float:
        """Each part's share, by how much of the weights it has: how often a part runs differs by sample."""
        shares = {name: self.parts[name].point(own).int8_share for name, own in recipe.parts}
        whole = sum(self._weights.values())
        return sum(self._weights[name] * share for name, share in shares.items()) / whole if whole else 1.0

    def name(self, recipe: PartsRecipe) -> str:
        """A recipe in a few words."""
        if recipe == self.singles:
            return "best single calibrators"
        own = dict(recipe.parts)
        told = (
            f"{name}: {name_of_recipe(own[name])}" if name in own else f"{name} in float"
            for name in self.pipeline.opened.models
        )
        return "; ".join(told)

    def explanation(self, recipe: PartsRecipe) -> str:
        """What each part is made of."""
        return "; ".join(f"{name}: {self.parts[name].point(own).explanation}" for name, own in recipe.parts)

    def files(self, recipe: PartsRecipe) -> dict[str, Path]:
        """Each quantized part's model."""
        return {name: self.parts[name].file(own, self._scratch) for name, own in recipe.parts}

    @contextmanager
    def _made(self, recipe: PartsRecipe | None) -> Iterator[MadeFile]:
        if recipe is None:
            yield MadeFile(self.first.float_model, self.first.study.task)
            return
        files = self.files(recipe)
        last, model = files.popitem()
        task = part_task(self.parts[last].study).beside(files)
        try:
            yield MadeFile(model, task)
        finally:
            task.others.close()


def _result(wholes: _Wholes, goal: Goal, budget: Clock, out: Path) -> OptimizationResult:
    options = wholes.options()
    pipeline, first = wholes.pipeline, wholes.first
    study, base = first.study, first.found
    metric = study.task.metric
    floats = [wholes.measured(None, half) for half in (SELECT, REPORT)]
    expected = outlook(options, metric.whole(floats[0].score.value))
    least = min(goal.least_int8, options[0].int8_share)
    able = [option for option in options if option.int8_share >= least]
    best = chosen(able, Tolerance(goal.max_loss, 1 - goal.least_int8), expected)
    single = next(option for option in options if option.recipe == wholes.singles)
    report: Report[PartsRecipe] = Report(wholes.measured, base.report_samples, goal.seed)

    def point(option: ScoredWhole) -> Point:
        recipe = option.recipe
        return report.point(option, expected, wholes.name(recipe), wholes.explanation(recipe))

    points = {option: point(option) for option in dict.fromkeys((best, *pareto_front(options, expected)))}
    made = {part: [file] for part, file in wholes.files(best.recipe).items()}
    copied_parts(pipeline.opened, made, out / FOLDER)
    _write_recipes(wholes, best.recipe, out / RECIPE)
    results = [part.found for part in wholes.parts.values()]
    return OptimizationResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=whole_summary(pipeline),
        environment=environment(study.runtime),
        settings={**base.settings, "max_loss": goal.max_loss, "least_int8": goal.least_int8},
        select_samples=base.select_samples,
        report_samples=base.report_samples,
        calibration_samples=base.calibration_samples,
        max_loss=goal.max_loss,
        metric=metric,
        float_select=ScoreValue.of(floats[0].score),
        float_report=ScoreValue.of(floats[1].score),
        float_latency_ms=None,
        chosen=points[best],
        best_single=point(single),
        gain_over_single=report.gain(best.recipe, single.recipe),
        front=tuple(sorted(points.values(), key=lambda found: -found.int8_share)),
        ablation=tuple(
            report.without(technique, best.recipe, other)
            for technique, other in _without(wholes, best.recipe).items()
        ),
        files=OptimizationFiles(qdq=FOLDER, encodings=None, recipe=RECIPE),
        models_measured=sum(found.models_measured for found in results) + len(options),
        seconds=round(budget.spent, 1),
        was_interrupted=any(found.was_interrupted for found in results),
        warnings=tuple(dict.fromkeys(line for found in results for line in found.warnings)),
        task=study.task.name,
    )


def _without(wholes: _Wholes, recipe: PartsRecipe) -> dict[str, PartsRecipe]:
    """The chosen recipe without what one part's search found, and without one part's INT8."""
    found = {}
    for name, own in recipe.parts:
        single = wholes.parts[name].single.recipe
        if own != single:
            found[f"{name}'s recipe"] = recipe.with_part(name, single)
        if len(recipe.parts) > 1:
            found[f"{name} in INT8"] = recipe.with_part(name, None)
    return found


def _write_recipes(wholes: _Wholes, recipe: PartsRecipe, path: Path) -> None:
    recipes = {
        name: recipe_file_of(wholes.parts[name].study, own, wholes.parts[name].point(own).explanation)
        for name, own in recipe.parts
    }
    write_yaml(path, of_parts(recipes))
