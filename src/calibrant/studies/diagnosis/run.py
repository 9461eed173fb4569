"""A diagnosis from beginning to end: the cheapest evidence first, as far as the time budget goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calibrant.core.clock import Clock
from calibrant.core.errors import CalibrantError, OutputError
from calibrant.core.progress import Progress
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Differences
from calibrant.core.types import FloatArray
from calibrant.studies.diagnosis.case import DiagnosisInput
from calibrant.studies.diagnosis.causes import causes_of
from calibrant.studies.diagnosis.evaluator import Evaluator
from calibrant.studies.diagnosis.layers import (
    growth_of,
    sensitivity_of,
    suspects_first,
    with_drops,
    with_rests,
)
from calibrant.studies.diagnosis.result import (
    NO_TIME,
    Diagnosis,
    NoiseGrowth,
    Sensitivity,
    SwapTest,
    TensorDiagnosis,
    WeightDiagnosis,
)
from calibrant.studies.diagnosis.swaps import SwapTester
from calibrant.studies.diagnosis.tensors import channels_of, tensors_of, weights_diagnosed, with_peaks
from calibrant.studies.diagnosis.verdict import verdict_of

_RANGES, _PEAKS, _GROWTH, _ALONE, _DIFFERENCES, _SWAP, _REST, _DROPS, _WINNERS_GROWTH = (
    "ranges and weights", "channels and samples of the largest values", "where the error grows",
    "layers by themselves", "predictions against FP32", "the swap test", "all but one layer",
    "the worst layers by the metric", "where the winner's error grows",
)  # fmt: skip


_OF_TWO = (_SWAP, _WINNERS_GROWTH)
"""Parts that need a second candidate."""


@dataclass
class _Findings:
    """What is known so far."""

    tensors: tuple[TensorDiagnosis, ...] = ()
    weights: tuple[WeightDiagnosis, ...] = ()
    channel_amax: Mapping[str, FloatArray] = field(default_factory=dict)
    growth: list[NoiseGrowth] = field(default_factory=list)
    sensitivity: list[Sensitivity] = field(default_factory=list)
    differences: list[Differences] = field(default_factory=list)
    swap: SwapTest | None = None
    left_out: list[str] = field(default_factory=list)


def diagnose(case: DiagnosisInput, folder: Path, budget: float | None, progress: Progress) -> Diagnosis:
    """Diagnose a study. folder: the run's. budget: seconds; what it does not reach is said in ``left_out``.

    A part that fails is left out with its reason.
    """
    clock = Clock(budget)
    with ScratchFolder() as scratch:
        evaluator = Evaluator(case.study, scratch, progress)
        found = _Investigation(case, evaluator, clock, scratch, progress).findings()
    causes = causes_of(case, str(folder), found.tensors, found.channel_amax, found.sensitivity, found.swap,
                       found.growth)  # fmt: skip
    return Diagnosis(
        model=str(case.study.plan.model.path),
        losing=case.losing,
        winning=case.winning,
        verdict=verdict_of(case, causes, found.swap, found.sensitivity, found.differences, found.growth),
        causes=causes,
        tensors=found.tensors,
        weights=found.weights,
        sensitivity=tuple(found.sensitivity),
        growth=tuple(found.growth),
        swap=found.swap,
        differences=tuple(found.differences),
        left_out=tuple(found.left_out),
        budget_seconds=budget,
        seconds=clock.seconds,
        metric=case.study.task.metric,
        task=case.study.task.name,
    )


class _Investigation:
    """Gathers evidence in the order of what it costs."""

    def __init__(
        self, case: DiagnosisInput, evaluator: Evaluator, clock: Clock, scratch: Path, progress: Progress
    ) -> None:
        self._case, self._laboratory, self._clock = case, evaluator, clock
        self._scratch, self._progress = scratch, progress
        self._found = _Findings()

    def findings(self) -> _Findings:
        """All that the budget reaches."""
        test, calibration = len(self._case.study.test), len(self._case.study.calibration)
        # The last figure: runs of the model that a part cannot be broken off in.
        parts: Sequence[tuple[str, Callable[[], None], int]] = (
            (_RANGES, self._ranges, 0),
            (_GROWTH, self._growth, 0),
            (_PEAKS, self._peaks, calibration),
            (_ALONE, self._layers_alone, 2 * self._laboratory.proxy_samples),
            (_DIFFERENCES, self._differences, 2 * test),
            (_SWAP, self._swap, test),
            (_REST, self._rests, self._laboratory.proxy_samples),
            (_DROPS, self._drops, test),
            (_WINNERS_GROWTH, self._winners_growth, 0),
        )
        for name, work, runs in parts:
            if self._case.is_compared or name not in _OF_TWO:
                self._do(name, work, runs)
        return self._found

    def _do(self, name: str, work: Callable[[], None], runs: int) -> None:
        if not self._clock.allows(runs * self._seconds_a_run):
            self._leave_out(f"{name}{NO_TIME}")
            return
        with self._clock.part(name):
            try:
                work()
            except OutputError:
                raise
            except CalibrantError as error:
                self._leave_out(f"{name}: {error}")

    def _leave_out(self, words: str) -> None:
        self._found.left_out.append(words)

    def _ranges(self) -> None:
        self._found.tensors = tensors_of(self._case)
        self._found.weights = weights_diagnosed(self._case)

    def _growth(self) -> None:
        self._found.growth.append(growth_of(self._case, self._case.held[0], self._scratch))

    def _winners_growth(self) -> None:
        for trial in self._case.held[1:]:
            self._found.growth.append(growth_of(self._case, trial, self._scratch))

    @property
    def _seconds_a_run(self) -> float:
        """What a run of the model takes, at most: those that looked for the error's growth were no faster."""
        runs = sum(2 * found.samples for found in self._found.growth)
        return self._clock.seconds.get(_GROWTH, 0.0) / runs if runs else 0.0

    def _peaks(self) -> None:
        found, case = self._found, self._case
        channels = channels_of(case, found.tensors, self._progress)
        found.tensors = with_peaks(found.tensors, channels, case.study.calibration)
        found.channel_amax = {tensor: seen.amax for tensor, seen in channels.items()}

    def _layers_alone(self) -> None:
        case, trial = self._case, self._case.held[0]
        errors = {found.tensor: found.error(trial.calibrator) for found in self._found.tensors}
        order = suspects_first(case, {name: error.sqnr_db for name, error in errors.items() if error})
        found = sensitivity_of(case, trial, order, self._laboratory, self._clock, self._progress)
        if found is not None:
            self._found.sensitivity.append(found)
        self._note_unfinished(_ALONE, len(found.layers) if found else 0, len(order))

    def _differences(self) -> None:
        task = self._case.study.task
        fp32 = self._laboratory.fp32()
        for trial in self._case.held:
            if not self._clock.allows():
                self._leave_out(f"{_DIFFERENCES} of {trial.calibrator}{NO_TIME}")
                return
            scored = self._laboratory.scored(trial.calibrator, trial.encodings)
            found = task.differences(trial.calibrator, self._case.study.test, fp32, scored)
            if found is None:  # the task cannot tell more than its metric does
                return
            self._found.differences.append(found)

    def _swap(self) -> None:
        case = self._case
        tester = SwapTester(case, self._found.tensors, self._laboratory, self._clock)
        if not tester.has_gap:
            self._leave_out(
                f"{_SWAP}: {case.losing} is indistinguishable from {case.winning} (gap "
                f"{tester.gap.interval(case.study.task.metric)})"
            )
            return
        self._found.swap = tester.test(self._progress)
        if self._found.swap is None or not (self._found.swap.is_complete or self._clock.allows()):
            self._leave_out(f"{_SWAP}: no time left for all its steps")

    def _rests(self) -> None:
        for index, found in enumerate(self._found.sensitivity):
            finished = with_rests(found, self._case, self._laboratory, self._clock, self._progress)
            self._found.sensitivity[index] = finished
            measured = [layer for layer in finished.layers if layer.agreement_without is not None]
            self._note_unfinished(_REST, len(measured), len(finished.layers))

    def _drops(self) -> None:
        for index, found in enumerate(self._found.sensitivity):
            self._found.sensitivity[index] = with_drops(found, self._case, self._laboratory, self._clock)

    def _note_unfinished(self, name: str, done: int, planned: int) -> None:
        if done < planned:
            self._leave_out(f"{name}: {planned - done} of {planned} layers, no time left")
