"""The float model in other types than FP32, where the runtime has them: what INT8 has to beat."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from calibrant.core.errors import RuntimeFailedError
from calibrant.core.metrics import Loss
from calibrant.core.types import Latency, Runtime, RuntimeWithPrecisions
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.stages.remote.files import NamedFile
from calibrant.stages.remote.predicting import ModelToOpen
from calibrant.studies.plan import TrialContext
from calibrant.studies.result import OtherFloat, ScoreValue, StudyResult, figures_of
from calibrant.studies.trial_evaluator import TrialEvaluator
from calibrant.studies.trials import cache_key
from calibrant.studies.verdict import BASELINE
from calibrant.studies.workers import ModelToMeasure


def measured_floats(
    runtime: Runtime,
    model: Path,
    context: TrialContext,
    evaluator: TrialEvaluator,
    baseline: Evaluation,
) -> tuple[OtherFloat, ...]:
    """The float model in every other type of a runtime. One that the runtime refuses has the reason."""
    if not isinstance(runtime, RuntimeWithPrecisions):
        return ()
    settings = context.settings
    bootstrap = PairedBootstrap(len(baseline.predictions), settings.seed)
    reference = ScoredCandidate(BASELINE, 0, baseline.score)
    found = []
    for precision in runtime.precisions:
        key = cache_key(context, context.key({}, method=f"float in {precision}"))
        opened = partial(runtime.in_precision(precision).open, model)
        option = f"{',' if ':' in settings.runtime else ':'}precision={precision}"
        sent = partial(ModelToOpen, settings.runtime + option, NamedFile.of(model))
        try:
            evaluation = evaluator.evaluation(ModelToMeasure(precision.upper(), opened, sent, key))
        except RuntimeFailedError as error:
            found.append(OtherFloat(precision, reason=str(error)))
            continue
        lost = bootstrap.loss(reference, ScoredCandidate(precision, 0, evaluation.score))
        found.append(
            OtherFloat(
                precision,
                ScoreValue.of(evaluation.score),
                figures_of(evaluation.score),
                None if math.isnan(lost.value) else lost,
                evaluation.latency,
            )
        )
    return tuple(found)


def worth_of_int8(result: StudyResult) -> str | None:
    """Whether the recommended candidate is quicker than the quickest float model, beyond what both vary.

    None where the runtime times nothing on a device, or runs floats in FP32 alone.
    """
    floats = [one for one in result.other_floats if _spread(one.latency) is not None]
    if result.recommended is None or not floats:
        return None
    trial = result.trial(result.recommended.calibrator)
    rival = min(floats, key=lambda one: _device(one.latency))
    own, other = _spread(trial.latency), _spread(rival.latency)
    if own is None or other is None:
        return None
    times = f"{_timed(trial.latency)} for {trial.calibrator}, {_timed(rival.latency)} in {rival.name.upper()}"
    where = f"on {result.environment.get('device', 'this device')}"
    losses = f"{_lost(trial.loss, result)} and {_lost(rival.loss, result)}"
    if own[1] < other[0]:
        gain = 100 * (1 - _device(trial.latency) / _device(rival.latency))
        return f"INT8 pays {where}: {gain:.0f} % less time ({times}); they lose {losses}"
    verb = "is slower than" if other[1] < own[0] else "is no quicker than"
    remedy = f"deploy {rival.name.upper()}" if _loses_less(rival.loss, trial.loss) else "weigh what it loses"
    than = f"{trial.calibrator} {verb} {rival.name.upper()}"
    return f"INT8 does not pay {where}: {than} ({times}); they lose {losses}; {remedy}"


def _loses_less(rival: Loss | None, trial: Loss | None) -> bool:
    return rival is not None and trial is not None and rival.value <= trial.value


def _lost(loss: Loss | None, result: StudyResult) -> str:
    return result.metric.text(loss.value) if loss else "an unknown amount"


def _spread(latency: Latency | None) -> tuple[float, float] | None:
    return latency.spread_ms if latency else None


def _device(latency: Latency | None) -> float:
    return latency.device_median_ms if latency and latency.device_median_ms is not None else math.inf


def _timed(latency: Latency | None) -> str:
    low, high = _spread(latency) or (math.nan, math.nan)
    return f"{_device(latency):.2f} ms ({low:.2f} to {high:.2f})"
