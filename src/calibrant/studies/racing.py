"""Measuring candidates beside each other: what is significantly worse does not run to the end.

All run on the first samples of a random order. The best of them goes on to the end, and then each of the
others, best first, until it is significantly worse than the leader or takes the lead. One model is open
at a time, and none is opened more than twice.

Where several processes predict, all others run ahead at once, each until it is significantly
worse than the best of the first samples. Then the race is decided as above, from known predictions, with the
same outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from calibrant.core.metrics import Evidence
from calibrant.core.progress import Advance
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.race import FIRST_LOOK, Lead, Race, looks, shuffled
from calibrant.studies.trial_evaluator import OK, STOPPED, EvaluationResult, TrialEvaluator, unless_it_fails
from calibrant.studies.workers import ModelToMeasure


def raced(
    evaluator: TrialEvaluator, models: Sequence[ModelToMeasure], error: float, seed: int
) -> tuple[EvaluationResult, ...]:
    """How each of ``models`` ended. error: how often, at most, the eventual winner may be dropped."""
    order = shuffled(len(evaluator.samples), seed)
    if len(models) < 2 or not looks(len(order)):
        return tuple(evaluator.outcome(model) for model in models)
    course = _Course(evaluator, order, Race(len(models), len(order), error, seed, evaluator.metric))
    outcomes = course.first_heat(models)
    running = [index for index, outcome in enumerate(outcomes) if outcome.status == OK]
    ranked = sorted(running, key=lambda index: _badness(outcomes[index]))
    started = [_StartedModel(models[index], _evaluated(outcomes[index])) for index in ranked]
    for place, index in enumerate(ranked):
        outcomes[index] = unless_it_fails(partial(course.run_on, started[place]))
        if place == 0 and evaluator.workers.are_many:
            course.run_ahead(started[1:])
    return tuple(outcomes)


@dataclass(frozen=True)
class _StartedModel:
    """A model that is in the race, and how it did on the first samples."""

    model: ModelToMeasure
    heat: Evaluation


@dataclass
class _Leader:
    """The best model that has run to the end, and its evidence on the samples seen at each look."""

    name: str
    evaluation: Evaluation
    evidence: dict[int, Evidence] = field(default_factory=dict)

    @property
    def badness(self) -> float:
        """Its place among others."""
        return self.evaluation.score.badness


class _Course:
    """A race under way: in which order samples are run, and who leads."""

    def __init__(self, evaluator: TrialEvaluator, order: Sequence[int], race: Race) -> None:
        self._evaluator, self._order, self._race = evaluator, order, race
        self._leader: _Leader | None = None

    def first_heat(self, models: Sequence[ModelToMeasure]) -> list[EvaluationResult]:
        """Every model on the first samples."""
        with self._evaluator.progress.stage("First heat", len(models) * FIRST_LOOK) as advance:
            return self._evaluator.workers.each(
                [partial(unless_it_fails, partial(self._start, model, advance)) for model in models]
            )

    def run_on(self, started: _StartedModel) -> EvaluationResult:
        """One model until it is significantly worse, or to the end, where it may take the lead."""
        outcome = self._run(started)
        if outcome.status == OK and (self._leader is None or _badness(outcome) < self._leader.badness):
            self._leader = _Leader(started.model.name, _evaluated(outcome))
        return outcome

    def run_ahead(self, models: Sequence[_StartedModel]) -> None:
        """Compute what the models are likely to be asked for; a failure will show again when it counts."""
        self._evaluator.workers.each(
            [partial(unless_it_fails, partial(self._run, model)) for model in models]
        )

    def _run(self, started: _StartedModel) -> EvaluationResult:
        """One model until it is significantly worse than the leader, or to the end."""
        with (
            self._evaluator.progress.stage(f"Evaluating {started.model.name}", len(self._order)) as advance,
            self._evaluator.running(started.model) as predictor,
        ):
            begun = 0
            for count in looks(len(self._order)) if self._leader else ():
                predictor.run(self._order[begun:count], advance, timed=False)
                begun, seen = count, self._seen(count)
                known = started.heat if count == FIRST_LOOK else None
                evidence = known.score.evidence if known else predictor.evidence(seen)
                lead = self._race.lead(self._leaders_evidence(count), evidence, count)
                if lead.is_significant:
                    return EvaluationResult(
                        STOPPED, known or predictor.evaluation(seen), seen, self._words(lead, count)
                    )
            predictor.run(self._order[begun:], advance)
            evaluation = predictor.evaluation(self._evaluator.positions)
        return EvaluationResult(OK, evaluation, self._evaluator.positions)

    def _start(self, model: ModelToMeasure, advance: Advance) -> EvaluationResult:
        seen = self._seen(FIRST_LOOK)
        with self._evaluator.running(model) as predictor:
            predictor.run(seen, advance, timed=False)
            return EvaluationResult(OK, predictor.evaluation(seen), seen)

    def _seen(self, count: int) -> tuple[int, ...]:
        """In the data set's order, in which all samples are scored too."""
        return tuple(sorted(self._order[:count]))

    def _leaders_evidence(self, count: int) -> Evidence:
        leader = self._leader
        assert leader is not None
        if count not in leader.evidence:
            leader.evidence[count] = self._evaluator.evidence_on(self._seen(count), leader.evaluation)
        return leader.evidence[count]

    def _words(self, lead: Lead, count: int) -> str:
        assert self._leader is not None
        metric = self._evaluator.metric
        return (
            f"significantly worse after {self._evaluator.words.counted(count)}: {metric.amount(lead.loss)} "
            "behind "
            f"{self._leader.name}, at least {lead.at_least:.2g}"
        )


def _evaluated(outcome: EvaluationResult) -> Evaluation:
    assert outcome.evaluation is not None
    return outcome.evaluation


def _badness(outcome: EvaluationResult) -> float:
    return _evaluated(outcome).score.badness
