"""What all parts lose together, what each one's staying in float would save, and what to deploy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.core.metrics import Loss, Score
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.studies.evidence import load_evidence
from calibrant.studies.result import RUN, PartSummary, Recommended, StudyResult, Trial, rounded_loss
from calibrant.studies.verdict import BASELINE, why_not

ALL_PARTS = "all parts"


def all_but(part: str) -> str:
    """What the candidate is called in which one part is in float."""
    return f"all but {part}"


@dataclass(frozen=True)
class _Whole:
    """A candidate with its score, and the parts that it has quantized."""

    trial: Trial
    candidate: ScoredCandidate
    loss: Loss
    parts: tuple[str, ...]


def with_whole_verdict(
    result: StudyResult,
    baseline: Evaluation,
    evaluations: Mapping[str, Evaluation],
    max_loss: float | None,
    seed: int,
) -> StudyResult:
    """Add the losses of what was measured together, what each part in float saves, and the recommendation.

    That is: all parts quantized; with ``max_loss``, what has most of the weights quantized and stays within.
    evaluations: of the candidates that were measured together, by name.
    """
    bootstrap = PairedBootstrap(len(baseline.predictions), seed)
    reference = ScoredCandidate(BASELINE, 0, baseline.score)
    scores = {name: ScoredCandidate(name, 0, found.score) for name, found in evaluations.items()}
    losses = {name: bootstrap.loss(reference, candidate) for name, candidate in scores.items()}
    metric = result.metric
    result = replace(
        result,
        trials=tuple(
            replace(trial, loss=_known(losses.get(trial.calibrator, trial.loss))) for trial in result.trials
        ),
    )
    no_way = why_not(reference, {name: lost for name, lost in losses.items() if not math.isnan(lost.value)})
    usable = [trial for trial in result.trials if trial.value is not None and trial.loss is not None]
    if not usable or not metric.is_usable(baseline.score.value):
        return replace(result, unrecommended=no_way) if usable or evaluations else result
    saved = {}
    if ALL_PARTS in scores:
        for part in result.parts:
            without = _without(result, part, scores)
            if without is not None:
                saved[part.name] = rounded_loss(bootstrap.loss(without, scores[ALL_PARTS]), metric)
    result = replace(result, parts=tuple(replace(part, saved=saved.get(part.name)) for part in result.parts))
    return _recommended(result, max_loss)


def _without(
    result: StudyResult, part: PartSummary, scores: Mapping[str, ScoredCandidate]
) -> ScoredCandidate | None:
    """All parts but this one: measured together, or of two parts the other one's own candidate."""
    if all_but(part.name) in scores:
        return scores[all_but(part.name)]
    others = [other for other in result.parts if other.chosen and other is not part]
    if part.chosen is None or len(others) != 1:
        return None
    trial = result.trial(f"{others[0].name}/{others[0].chosen}")
    if trial.score is None or trial.score.value is None or not trial.files or not trial.files.evidence:
        return None
    try:
        evidence = load_evidence(Path(result.out) / trial.files.evidence, result.task)
    except DataError:
        return None
    value = trial.score.value / result.metric.scale
    return ScoredCandidate(trial.calibrator, 0, Score(result.metric, value, (), evidence))


def _known(loss: Loss | None) -> Loss | None:
    return None if loss is None or math.isnan(loss.value) else loss


def quantized_parts(result: StudyResult, trial: Trial) -> tuple[str, ...]:
    """The parts that a candidate has quantized."""
    if "part" in trial.recipe:
        return (str(trial.recipe["part"]),)
    return tuple(part.name for part in result.parts if part.name in trial.recipe)


def _wholes(result: StudyResult) -> list[Trial]:
    """What may be deployed, most of the weights quantized first: sets of the parts' chosen candidates."""
    weights = {part.name: part.weights for part in result.parts}
    chosen = {part.name: part.chosen for part in result.parts if part.chosen}
    alone = {f"{part}/{name}" for part, name in chosen.items()}
    found = [
        trial
        for trial in result.trials
        if trial.loss is not None
        and trial.value is not None
        and (trial.calibrator in alone if "part" in trial.recipe else trial.recipe.items() <= chosen.items())
    ]
    return sorted(found, key=lambda trial: -sum(weights[name] for name in quantized_parts(result, trial)))


def _recommended(result: StudyResult, max_loss: float | None) -> StudyResult:
    metric, wholes = result.metric, _wholes(result)
    within = [trial for trial in wholes if max_loss is None or _lost(trial).value <= max_loss]
    if not within:
        best = min(wholes, key=lambda trial: _lost(trial).value)
        return replace(
            result,
            unrecommended=(
                f"no candidate loses {metric.amount(max_loss or 0.0)} of {metric.words} or less: the best, "
                f"{best.calibrator}, {metric.change(_lost(best).value)}"
            ),
            advice=_advice(result, best),
        )
    chosen = within[0]
    lost = _lost(chosen)
    floats = [part.name for part in result.parts if part.name not in quantized_parts(result, chosen)]
    kept = f"; {' and '.join(floats)} {'stays' if len(floats) == 1 else 'stay'} in float" if floats else ""
    allowed = "" if max_loss is None else f", the most in INT8 that loses {metric.amount(max_loss)} or less"
    reason = (
        f"it {metric.change(lost.value)} of {metric.words} (95 % interval of the loss "
        f"{lost.interval(metric)}){allowed}{kept}"
    )
    return replace(
        result,
        recommended=Recommended(chosen.calibrator, reason, (), None),
        advice=_advice(result, chosen),
    )


def _advice(result: StudyResult, chosen: Trial) -> tuple[str, ...]:
    """Which part to look into, where quantizing it costs more than chance."""
    costs = [
        part
        for part in result.parts
        if part.chosen
        and (lost := part.saved or part.loss) is not None
        and lost.low > 0
        and part.name in quantized_parts(result, chosen)
    ]
    if not costs:
        return ()
    worst = max(costs, key=lambda part: (part.saved or part.loss or Loss(0, 0, 0)).value)
    return (
        f"calibrant diagnose {RUN}/{worst.folder}: why {worst.name} loses most",
        f"calibrant optimize {RUN}/{worst.folder}: a {worst.name} that loses less",
    )


def _lost(trial: Trial) -> Loss:
    assert trial.loss is not None
    return trial.loss
