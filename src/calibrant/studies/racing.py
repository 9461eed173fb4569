"""Measuring candidates beside each other: who is beaten beyond doubt does not run to the end.

All run on the first samples of a random order. The best of them goes on to the end, and then each of the
others, best first, until the leader has beaten it or it takes the lead. One model is open at a time, and
none is opened more than twice.

Where several processes predict, all others run ahead at once, each until the best of the first samples has
beaten it. Then the race is decided as above, from predictions that are known: with the same outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from calibrant.core.metrics import Evidence
from calibrant.core.progress import Advance
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.race import FIRST_LOOK, Lead, Race, looks, shuffled
from calibrant.studies.measuring import OK, STOPPED, Outcome, TestBench, unless_it_fails
from calibrant.studies.workers import Entrant


def raced(bench: TestBench, entrants: Sequence[Entrant], error: float, seed: int) -> tuple[Outcome, ...]:
    """How each of ``entrants`` ended. error: how often, at most, the eventual winner may be dropped."""
    order = shuffled(len(bench.samples), seed)
    if len(entrants) < 2 or not looks(len(order)):
        return tuple(bench.outcome(entrant) for entrant in entrants)
    course = _Course(bench, order, Race(len(entrants), len(order), error, seed, bench.metric))
    outcomes = course.first_heat(entrants)
    started = [index for index, outcome in enumerate(outcomes) if outcome.status == OK]
    ranked = sorted(started, key=lambda index: _badness(outcomes[index]))
    runners = [_Runner(entrants[index], _evaluated(outcomes[index])) for index in ranked]
    for place, index in enumerate(ranked):
        outcomes[index] = unless_it_fails(partial(course.run_on, runners[place]))
        if place == 0 and bench.workers.are_many:
            course.run_ahead(runners[1:])
    return tuple(outcomes)


@dataclass(frozen=True)
class _Runner:
    """A model that is in the race, and how it did on the first samples."""

    entrant: Entrant
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

    def __init__(self, bench: TestBench, order: Sequence[int], race: Race) -> None:
        self._bench, self._order, self._race = bench, order, race
        self._leader: _Leader | None = None

    def first_heat(self, entrants: Sequence[Entrant]) -> list[Outcome]:
        """Every model on the first samples."""
        with self._bench.progress.stage("First heat", len(entrants) * FIRST_LOOK) as advance:
            return self._bench.workers.each(
                [partial(unless_it_fails, partial(self._start, entrant, advance)) for entrant in entrants]
            )

    def run_on(self, runner: _Runner) -> Outcome:
        """One model until it is beaten, or to the end, where it may take the lead."""
        outcome = self._run(runner)
        if outcome.status == OK and (self._leader is None or _badness(outcome) < self._leader.badness):
            self._leader = _Leader(runner.entrant.name, _evaluated(outcome))
        return outcome

    def run_ahead(self, runners: Sequence[_Runner]) -> None:
        """Compute what the models are likely to be asked for; a failure will show again when it counts."""
        self._bench.workers.each([partial(unless_it_fails, partial(self._run, runner)) for runner in runners])

    def _run(self, runner: _Runner) -> Outcome:
        """One model until the leader has beaten it, or to the end."""
        with (
            self._bench.progress.stage(f"Evaluating {runner.entrant.name}", len(self._order)) as advance,
            self._bench.running(runner.entrant) as model,
        ):
            begun = 0
            for count in looks(len(self._order)) if self._leader else ():
                model.run(self._order[begun:count], advance, timed=False)
                begun, seen = count, self._seen(count)
                known = runner.heat if count == FIRST_LOOK else None
                evidence = known.score.evidence if known else model.evidence(seen)
                lead = self._race.lead(self._leaders_evidence(count), evidence, count)
                if lead.is_beyond_doubt:
                    return Outcome(STOPPED, known or model.evaluation(seen), seen, self._words(lead, count))
            model.run(self._order[begun:], advance)
            evaluation = model.evaluation(self._bench.positions)
        return Outcome(OK, evaluation, self._bench.positions)

    def _start(self, entrant: Entrant, advance: Advance) -> Outcome:
        seen = self._seen(FIRST_LOOK)
        with self._bench.running(entrant) as model:
            model.run(seen, advance, timed=False)
            return Outcome(OK, model.evaluation(seen), seen)

    def _seen(self, count: int) -> tuple[int, ...]:
        """In the data set's order, in which all samples are scored too."""
        return tuple(sorted(self._order[:count]))

    def _leaders_evidence(self, count: int) -> Evidence:
        leader = self._leader
        assert leader is not None
        if count not in leader.evidence:
            leader.evidence[count] = self._bench.evidence_on(self._seen(count), leader.evaluation)
        return leader.evidence[count]

    def _words(self, lead: Lead, count: int) -> str:
        assert self._leader is not None
        metric = self._bench.metric
        return (
            f"significantly worse after {self._bench.words.counted(count)}: {metric.amount(lead.loss)} "
            "behind "
            f"{self._leader.name}, at least {lead.at_least:.2g}"
        )


def _evaluated(outcome: Outcome) -> Evaluation:
    assert outcome.evaluation is not None
    return outcome.evaluation


def _badness(outcome: Outcome) -> float:
    return _evaluated(outcome).score.badness
