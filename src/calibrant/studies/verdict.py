"""The verdict on a study: every drop with its interval, and which calibrator to deploy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from calibrant.calibrators import NamedCalibrator
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.recommend import Candidate, PairedBootstrap, recommend
from calibrant.studies.measuring import STOPPED
from calibrant.studies.result import Recommended, StudyResult, Trial

BASELINE = "fp32"


@dataclass(frozen=True)
class Measured:
    """A trial with the evaluation behind it."""

    trial: Trial
    evaluation: Evaluation


def with_verdict(
    result: StudyResult,
    calibrators: Sequence[NamedCalibrator],
    seed: int,
    baseline: Evaluation,
    measured: Mapping[str, Measured],
) -> StudyResult:
    """Add every drop with its interval, and the recommendation. ``measured`` holds each trial by its key."""
    if not measured:
        return result
    bootstrap = PairedBootstrap(len(baseline.predictions), seed)
    reference = Candidate(BASELINE, 0, baseline.score.value, baseline.score.evidence)
    simplest = _simplest_names(result.trials, calibrators)
    candidates = {
        key: Candidate(
            simplest[key].name,
            simplest[key].simplicity,
            m.evaluation.score.value,
            m.evaluation.score.evidence,
            _twins(result.trials, key, simplest[key].name),
        )
        for key, m in measured.items()
    }
    drops = {key: bootstrap.drop(reference, candidate) for key, candidate in candidates.items()}
    verdict = recommend(
        reference,
        tuple(candidates.values()),
        {candidates[key].name: drops[key] for key in drops},
        bootstrap,
        beaten=sum(trial.status == STOPPED for trial in result.trials),
    )
    return replace(
        result,
        trials=tuple(replace(trial, drop=drops.get(trial.key, trial.drop)) for trial in result.trials),
        recommended=Recommended(
            verdict.calibrator, verdict.reason, verdict.tied, round(verdict.held_out_drop, 4)
        ),
    )


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
