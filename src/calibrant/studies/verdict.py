"""The verdict on a study: every loss with its interval, which candidate to deploy, and what to run next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from calibrant.calibrators import NamedCalibrator
from calibrant.core.metrics import MAXIMIZE, Loss, Metric
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.recommend import (
    PairedBootstrap,
    Recommendation,
    ScoredCandidate,
    doubt_of_baseline,
    recommend,
)
from calibrant.studies.plan import StudySettings
from calibrant.studies.result import RUN, DataSummary, ModelSummary, Recommended, StudyResult, Trial
from calibrant.studies.trial_evaluator import STOPPED

BASELINE = "fp32"


@dataclass(frozen=True)
class EvaluatedTrial:
    """A trial with the evaluation behind it."""

    trial: Trial
    evaluation: Evaluation


def with_verdict(
    result: StudyResult,
    calibrators: Sequence[NamedCalibrator],
    settings: StudySettings,
    baseline: Evaluation,
    measured: Mapping[str, EvaluatedTrial],
) -> StudyResult:
    """Add every loss with its interval, and the recommendation. ``measured`` holds each trial by its key.

    There is none where the float model's own score cannot be compared with, where no candidate has a score,
    and where none stays within the loss that is allowed: ``unrecommended`` says why.
    """
    if not measured:
        return result
    bootstrap = PairedBootstrap(len(baseline.predictions), settings.seed)
    reference = ScoredCandidate(BASELINE, 0, baseline.score)
    candidates = _candidates(result, calibrators, measured)
    losses = {key: bootstrap.loss(reference, candidate) for key, candidate in candidates.items()}
    result = replace(
        result,
        trials=tuple(
            replace(trial, loss=_known(losses.get(trial.key, trial.loss))) for trial in result.trials
        ),
    )
    usable = {key: losses[key] for key in candidates if not math.isnan(losses[key].value)}
    reason = why_not(reference, usable)
    if reason:
        return replace(result, unrecommended=reason, advice=_next_after_nothing(result, reference))
    within = _within(usable, settings.max_loss)
    if not within:
        return _none_within(result, usable, settings.max_loss or 0.0)
    found = recommend(
        reference,
        tuple(candidates[key] for key in within),
        {candidates[key].name: losses[key] for key in within},
        bootstrap,
        others_worse=sum(trial.status == STOPPED for trial in result.trials) + len(candidates) - len(within),
        prefer=settings.prefer,
    )
    return _recommended(result, found, reference)


def _candidates(
    result: StudyResult, calibrators: Sequence[NamedCalibrator], measured: Mapping[str, EvaluatedTrial]
) -> dict[str, ScoredCandidate]:
    """Each measured model under the name of the simplest calibrator that makes it."""
    simplest = _simplest_names(result.trials, calibrators)
    return {
        key: ScoredCandidate(
            simplest[key].name,
            simplest[key].simplicity,
            found.evaluation.score,
            _twins(result.trials, key, simplest[key].name),
        )
        for key, found in measured.items()
    }


def _known(loss: Loss | None) -> Loss | None:
    return None if loss is None or math.isnan(loss.value) else loss


def _within(losses: Mapping[str, Loss], most: float | None) -> list[str]:
    return [key for key, lost in losses.items() if most is None or lost.value <= most]


def why_not(reference: ScoredCandidate, losses: Mapping[str, Loss]) -> str | None:
    """Why no candidate may be recommended, whatever it loses."""
    metric = reference.metric
    doubt = doubt_of_baseline(metric, reference.score.value)
    if doubt or losses:
        return doubt
    return f"{metric.words} of every candidate is undefined on this test set"


def _next_after_nothing(result: StudyResult, reference: ScoredCandidate) -> tuple[str, ...]:
    return what_to_check(result.model, result.data, reference.score.value)


def what_to_check(model: ModelSummary, data: DataSummary, value: float) -> tuple[str, ...]:
    """What to look at where the float model itself scores next to nothing."""
    labels = f"check that the labels of {data.dataset} are what the model predicts, in its order"
    if math.isnan(value):
        return (f"{labels}, and that --limit leaves some",)
    return (
        f"calibrant inspect {shlex.quote(model.path)}: is {model.family} its family?",
        labels,
    )


def _none_within(result: StudyResult, losses: Mapping[str, Loss], most: float) -> StudyResult:
    metric = result.metric
    key = min(losses, key=lambda name: losses[name].value)
    best = next(trial.calibrator for trial in result.trials if trial.key == key)
    return replace(
        result,
        unrecommended=(
            f"no candidate loses {metric.amount(most)} of {metric.words} or less: the best, {best}, "
            f"{metric.change(losses[key].value)}"
        ),
        advice=(_optimize(most),),
    )


def _recommended(result: StudyResult, found: Recommendation, reference: ScoredCandidate) -> StudyResult:
    metric = result.metric
    lost = result.trial(found.calibrator).loss
    held_out = None if math.isnan(found.held_out_loss) else metric.rounded(found.held_out_loss)
    return replace(
        result,
        recommended=Recommended(found.calibrator, found.reason, found.tied, held_out),
        advice=_next(lost, reference.score.value, metric),
    )


def _next(lost: Loss | None, value: float, metric: Metric) -> tuple[str, ...]:
    """What to run next where even the best candidate loses a lot."""
    if lost is None or not lost.value > metric.a_lot(value) > 0:
        return ()
    return (
        f"this is a lot: more than {_a_tenth(value, metric)}",
        f"calibrant diagnose {RUN}: why it is lost",
        f"calibrant optimize {RUN}: a model that loses less",
    )


def _a_tenth(value: float, metric: Metric) -> str:
    """What a loss was held against, in words."""
    if metric.direction == MAXIMIZE and metric.span is None:
        return f"a tenth of the float model's {metric.text(metric.in_unit(value))} {metric.words}"
    return f"{metric.amount(metric.a_lot(value))}, a tenth of the scale of {metric.words}"


def _optimize(most: float) -> str:
    return f"calibrant optimize {RUN} --max-loss {most:g}: a model that loses less"


def _simplest_names(
    trials: Sequence[Trial], calibrators: Sequence[NamedCalibrator]
) -> dict[str, NamedCalibrator]:
    """For every key the simplest of the calibrators that share it."""
    by_name = {calibrator.name: calibrator for calibrator in calibrators}
    simplest: dict[str, NamedCalibrator] = {}
    for trial in trials:
        calibrator = by_name[trial.calibrator]
        known = simplest.get(trial.key)
        if known is None or calibrator.simplicity < known.simplicity:
            simplest[trial.key] = calibrator
    return simplest


def _twins(trials: Sequence[Trial], key: str, name: str) -> tuple[str, ...]:
    """The other calibrators whose encodings have this key."""
    return tuple(trial.calibrator for trial in trials if trial.key == key and trial.calibrator != name)
