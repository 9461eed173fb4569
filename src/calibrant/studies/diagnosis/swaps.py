"""The swap test on two candidates: ordered by agreement, confirmed by mAP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calibrant.core.clock import Clock
from calibrant.core.metrics import Loss, Metric
from calibrant.core.progress import Progress
from calibrant.core.types import Encoding
from calibrant.stages.diagnosis.range_errors import bounds_of
from calibrant.stages.diagnosis.swap import ENOUGH, differing, swapped
from calibrant.studies.diagnosis.case import DiagnosisInput
from calibrant.studies.diagnosis.evaluator import Evaluator
from calibrant.studies.diagnosis.result import SwapStep, SwapTest, TensorDiagnosis

MOST_STEPS = 16
"""The test ends after so many tensors: what is spread over more is no matter of single tensors."""
MOST_TRIED = 32
"""Tensors that may be swapped: those whose ranges differ most."""
TRYING_SHARE = 0.65
"""Trying ends at this share of the budget: the steps that follow are what convinces."""
_NAMED = 3


class SwapTester:
    """Gives the losing candidate the winner's ranges, tensor by tensor, until the gap is explained."""

    def __init__(
        self, case: DiagnosisInput, tensors: Sequence[TensorDiagnosis], evaluator: Evaluator, clock: Clock
    ) -> None:
        self._case, self._laboratory, self._clock = case, evaluator, clock
        self._losing, self._winning = (
            case.candidates[name].encodings for name in (case.losing, case.winning)
        )
        self._tensors = {found.tensor: found for found in tensors}
        self._winner = evaluator.scored(case.winning, self._winning)
        self._loser = evaluator.scored(case.losing, self._losing)
        self.gap = evaluator.loss(self._winner, self._loser)

    @property
    def _metric(self) -> Metric:
        return self._case.study.task.metric

    @property
    def has_gap(self) -> bool:
        """Whether the losing candidate loses beyond chance."""
        return self.gap.is_real and self.gap.value > 0

    def test(self, progress: Progress) -> SwapTest | None:
        """The steps as far as the time goes; None where it did not reach the first."""
        order = self._by_damage(progress)
        steps: list[SwapStep] = []
        with progress.stage("Swapping ranges", MOST_STEPS) as advance:
            while len(steps) < min(MOST_STEPS, len(order)) and self._clock.allows():
                steps.append(self._step(order[: len(steps) + 1], steps[-1:]))
                advance()
                if steps[-1].explained >= ENOUGH:
                    break
        return self._result(order, steps) if steps else None

    def _by_damage(self, progress: Progress) -> tuple[str, ...]:
        """Tensors in the order of what the losing range of each, alone, takes from the winner's agreement.

        In the winner a single range shows; in the losing candidate the others' errors may hide it.
        """
        tried = differing(self._losing, self._winning)[:MOST_TRIED]
        left: dict[str, float] = {}
        with progress.stage("Trying ranges", len(tried)) as advance:
            for tensor in tried:
                if not self._clock.allows(share=TRYING_SHARE):
                    break
                left[tensor] = self._agreement(swapped(self._winning, self._losing, [tensor]))
                advance()
        return tuple(sorted(left, key=lambda tensor: left[tensor]))

    def _step(self, taken: Sequence[str], before: Sequence[SwapStep]) -> SwapStep:
        tensor = taken[-1]
        mixed = swapped(self._losing, self._winning, taken)
        found = self._laboratory.scored(self._name(len(taken)), mixed)
        lost = self._laboratory.loss(self._winner, found)
        left_before = before[0].loss.value if before else self.gap.value
        known = self._tensors.get(tensor)
        error = known.error(self._case.losing) if known else None
        return SwapStep(
            tensor=tensor,
            readers=known.readers if known else (),
            losing=_larger_side(self._losing[tensor]),
            winning=_larger_side(self._winning[tensor]),
            clipped=error.clipped if error else 0.0,
            agreement=self._agreement(mixed),
            value=found.score.metric.stored(found.score.value),
            loss=lost,
            gained=left_before - lost.value,
            explained=1 - lost.value / self.gap.value,
        )

    def _result(self, order: Sequence[str], steps: Sequence[SwapStep]) -> SwapTest:
        case, evaluator = self._case, self._laboratory
        mixed = swapped(self._losing, self._winning, order[: len(steps)])
        last = evaluator.scored(self._name(len(steps)), mixed)
        return SwapTest(
            losing=case.losing,
            winning=case.winning,
            samples=evaluator.samples,
            gap=self.gap,
            explained=evaluator.loss(last, self._loser),
            is_complete=steps[-1].explained >= ENOUGH,
            steps=tuple(steps),
            sentence=sentence(
                case.losing,
                case.winning,
                self.gap,
                self._metric,
                steps,
                self._tensors,
                len(order) - len(steps),
            ),
        )

    def _agreement(self, encodings: Mapping[str, Encoding]) -> float:
        return self._laboratory.agreement(self._laboratory.points, encodings)

    def _name(self, count: int) -> str:
        return f"{self._case.losing} with {count} ranges of {self._case.winning}"


def sentence(
    losing: str,
    winning: str,
    gap: Loss,
    metric: Metric,
    steps: Sequence[SwapStep],
    tensors: Mapping[str, TensorDiagnosis],
    untried: int = 0,
) -> str:
    """The test in words: how much is lost, how many tensors account for how much, and what ails them.

    untried: tensors that the test did not come to.
    """
    gaining = sorted((step for step in steps if step.gained > 0), key=lambda step: -step.gained)
    explained = gap.value - steps[-1].loss.value
    count = len(steps)
    tried = f"{count} tensor{'s' if count > 1 else ''}"
    unfinished = f"; the test is incomplete, {untried} more tensors differ" if untried else ""
    lost = (
        f"{losing} {metric.change(gap.value)} against {winning} here (95 % interval {gap.interval(metric)})"
    )
    if not gaining:
        accounts = "none of those tried so far" if untried else "no single tensor"
        return f"{lost}; {accounts} accounts for it: {tried} were given {winning}'s ranges{unfinished}"
    named = "; ".join(_ailment(step, losing, metric, tensors.get(step.tensor)) for step in gaining[:_NAMED])
    more = f"; and {len(gaining) - _NAMED} more" if len(gaining) > _NAMED else ""
    if explained <= 0:
        return (
            f"{lost}; {tried} with {winning}'s ranges do not close it together, though some help: "
            f"{named}{more}{unfinished}"
        )
    verb = "accounts" if count == 1 else "account"
    if steps[-1].explained >= ENOUGH:
        unfinished = ""
    return f"{lost}; {tried} {verb} for {metric.text(explained)} of them: {named}{more}{unfinished}"


def _ailment(step: SwapStep, losing: str, metric: Metric, tensor: TensorDiagnosis | None) -> str:
    """A tensor with what its losing range does: it is clipped too early, or its step is too coarse."""
    name = f"{step.tensor!r} (+{metric.text(step.gained)})"
    if step.losing < step.winning:
        error = tensor.error(losing) if tensor else None
        where = f"at {error.ratio:.0%} of its range" if error else f"at {step.losing:.3g}"
        return f"{name} clipped {where}"
    return f"{name} with steps {step.losing / step.winning:.1f} times as large"


def _larger_side(encoding: Encoding) -> float:
    return max(abs(bound) for bound in bounds_of(encoding))
