"""The search: calibrators, techniques together, ranges one by one, mixed precision; then the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from calibrant.core.clock import Clock
from calibrant.core.errors import CalibrantError
from calibrant.core.progress import Progress
from calibrant.core.recipes import Recipe
from calibrant.stages.optimization.choice import Outlook, ScoredRecipe, Tolerance, chosen, outlook
from calibrant.stages.optimization.mixed_precision import excluded
from calibrant.stages.optimization.ranges import improved_ranges
from calibrant.stages.optimization.search_space import searched_recipes
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.studies.optimization.measure import SELECT, Measurer
from calibrant.studies.optimization.model_builder import ModelBuilder
from calibrant.studies.optimization.reporting import candidate_of

# When each phase ends, as shares of the budget; a phase that is done early leaves the rest to the next.
CALIBRATORS_END, TECHNIQUES_END, RANGES_END, TRYING_END, MIXED_PRECISION_END = 0.15, 0.5, 0.6, 0.85, 0.95
MOST_TECHNIQUE_TRIALS = 40
MEASURED_RECIPES = 3
MOST_EXCLUSION_TRIALS = 60
# After so many excluded layers a model joins the front.
SPARED_POINTS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Goal:
    """What is searched for.

    max_loss: what may be lost, in the metric's unit. least_int8: share of the work that stays in INT8, 0..1.
    fold_only: nothing is added between layers.
    """

    max_loss: float
    least_int8: float
    seed: int
    fold_only: bool = False


@dataclass
class Findings:
    """What a search has measured so far; it may be interrupted between any two of them."""

    baseline: ScoredCandidate
    options: dict[Recipe, ScoredRecipe[Recipe]] = field(default_factory=dict)
    singles: list[Recipe] = field(default_factory=list)
    was_interrupted: bool = False

    @property
    def all(self) -> tuple[ScoredRecipe[Recipe], ...]:
        """Every model that was measured, in the order of measuring."""
        return tuple(self.options.values())

    @property
    def best_single(self) -> ScoredRecipe[Recipe]:
        """The calibrator that is best on the selecting samples; the first of equals."""
        return min((self.options[recipe] for recipe in self.singles), key=lambda o: o.loss.value)

    @property
    def outlook(self) -> Outlook:
        """What models are expected to lose, by what is known."""
        return outlook(self.all, self.baseline.metric.whole(self.baseline.score.value))


class Search:
    """Runs the phases; each begins from the best of the one before."""

    def __init__(
        self,
        builder: ModelBuilder,
        measurer: Measurer[Recipe],
        goal: Goal,
        budget: Clock,
        progress: Progress,
        samples: int,
    ) -> None:
        self._builder, self._measurer = builder, measurer
        self._goal, self._budget, self._progress = goal, budget, progress
        self.bootstrap = PairedBootstrap(samples, goal.seed)

    def run(self) -> Findings:
        """Search until the budget or the search space is exhausted, or the user interrupts.

        Raises CalibrantError when not even one calibrator could be measured.
        """
        findings = Findings(candidate_of("fp32", self._measurer.measured(None, SELECT)))
        try:
            for phase in (self._calibrators, self._techniques, self._ranges, self._mixed_precision):
                phase(findings)
        except KeyboardInterrupt:
            if not findings.singles:
                raise
            findings.was_interrupted = True
        return findings

    def best(self, findings: Findings) -> ScoredRecipe[Recipe]:
        """The model to deploy by what is known."""
        tolerance = Tolerance(self._goal.max_loss, 1 - self._goal.least_int8)
        return chosen(findings.all, tolerance, findings.outlook)

    def _calibrators(self, findings: Findings) -> None:
        names = self._builder.calibrators
        recipes = sorted(map(Recipe, names), key=lambda recipe: -self._agreement(recipe))
        for recipe in self._watched("Calibrators", recipes, len(recipes)):
            if not findings.singles or self._budget.until(CALIBRATORS_END)():
                self._measure(findings, recipe)
                findings.singles.append(recipe)

    def _techniques(self, findings: Findings) -> None:
        space = self._builder.space.folded if self._goal.fold_only else self._builder.space
        names = sorted(space.calibrators, key=lambda name: -self._agreement(Recipe(name)))
        with self._progress.stage("Techniques", MOST_TECHNIQUE_TRIALS) as advance:
            best = searched_recipes(
                replace(space, calibrators=names),
                self._counted(advance),
                self._budget.until(TECHNIQUES_END),
                self._goal.seed,
                MOST_TECHNIQUE_TRIALS,
            )
        in_time = self._budget.until(RANGES_END)
        for recipe in self._watched("Recipes on the test samples", best[:MEASURED_RECIPES], MEASURED_RECIPES):
            if recipe == best[0] or in_time():
                self._measure(findings, recipe)

    def _ranges(self, findings: Findings) -> None:
        start = self._most_agreeing(findings)
        ranges = self._builder.transformed(start).ranges
        with self._progress.stage("Ranges", 4 * len(ranges[start.calibrator])) as advance:
            improved = improved_ranges(start, ranges, self._counted(advance), self._budget.until(RANGES_END))
        self._measure(findings, improved)

    def _mixed_precision(self, findings: Findings) -> None:
        start = self._most_agreeing(findings)
        with self._progress.stage("Mixed precision", MOST_EXCLUSION_TRIALS) as advance:
            recipes = list(
                excluded(
                    start,
                    self._builder.quantized_macs,
                    self._goal.least_int8,
                    self._counted(advance),
                    MOST_EXCLUSION_TRIALS,
                    self._goal.seed,
                    self._budget.until(TRYING_END),
                )
            )
        points = [recipes[count - 1] for count in SPARED_POINTS if count < len(recipes)] + recipes[-1:]
        in_time = self._budget.until(MIXED_PRECISION_END)
        # The last one spares as much as is allowed: whatever the time, it is on offer.
        for recipe in self._watched("Mixed precision on the test samples", reversed(points), len(points)):
            if recipe == points[-1] or in_time():
                self._measure(findings, recipe)

    def _most_agreeing(self, findings: Findings) -> Recipe:
        return max(findings.all, key=lambda option: option.agreement).recipe

    def _measure(self, findings: Findings, recipe: Recipe) -> None:
        if recipe in findings.options:
            return
        found = candidate_of(recipe.key, self._measurer.measured(recipe, SELECT))
        findings.options[recipe] = ScoredRecipe(
            recipe=recipe,
            agreement=self._agreement(recipe),
            int8_share=self._builder.int8_share(recipe),
            loss=self.bootstrap.loss(findings.baseline, found),
        )

    def _agreement(self, recipe: Recipe) -> float:
        """Agreement with the float model; a recipe that cannot be followed agrees in nothing."""
        try:
            return self._measurer.agreement(recipe)
        except CalibrantError as error:
            self._progress.note(
                f"{recipe.calibrator} with {', '.join(recipe.techniques) or 'nothing else'}: {error}"
            )
            return 0.0

    def _counted(self, advance: Callable[[], None]) -> Callable[[Recipe], float]:
        def agreement(recipe: Recipe) -> float:
            advance()
            return self._agreement(recipe)

        return agreement

    def _watched(self, title: str, recipes: Iterable[Recipe], total: int) -> Iterable[Recipe]:
        with self._progress.stage(title, total) as advance:
            for recipe in recipes:
                yield recipe
                advance()
