"""A study's candidates as trials: each distinct one measured once, twins named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from calibrant.core.metrics import Loss
from calibrant.core.tasks import Task
from calibrant.core.types import Runtime, Sample
from calibrant.stages.evaluate import Evaluation
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.stages.sessions import model_inputs
from calibrant.studies.candidates import Candidate
from calibrant.studies.deploy import (
    calibration_method,
    candidate_to_open,
    open_candidate,
    tensorrt_cache_of,
)
from calibrant.studies.evidence import save_evidence
from calibrant.studies.plan import StudySettings, TrialContext, ids_sha256
from calibrant.studies.racing import raced
from calibrant.studies.result import ScoreValue, Trial, TrialFiles, figures_of
from calibrant.studies.trial_evaluator import FAILED, OK, STOPPED, EvaluationResult, TrialEvaluator
from calibrant.studies.verdict import BASELINE, EvaluatedTrial
from calibrant.studies.workers import ModelToMeasure


@dataclass(frozen=True)
class Deployment:
    """How a study's candidates are opened, and what decides their scores."""

    runtime: Runtime
    collector: Runtime
    task: Task
    calibration: Sequence[Sample]
    float_model: Path
    context: TrialContext

    def key(self, candidate: Candidate) -> str:
        """What decides a candidate's score: candidates with the same key are measured once."""
        method = calibration_method(self.runtime, candidate)
        shown = ids_sha256(sample.id for sample in self.calibration) if method else ""
        return self.context.key(candidate.encodings, method and f"{method} {shown}")

    def model(self, candidate: Candidate) -> ModelToMeasure:
        """A candidate to be measured.

        Where the runtime's own calibrator chooses the scales it has to run, as it writes a file.
        """
        batches = partial(model_inputs, self.float_model, self.task, self.collector, self.calibration)
        parts = (candidate, self.float_model, batches)
        is_ours = calibration_method(self.runtime, candidate) is None
        return ModelToMeasure(
            candidate.calibrator.name,
            partial(open_candidate, self.runtime, *parts),
            partial(candidate_to_open, self.runtime, self.context.settings.runtime, *parts),
            cache_key(self.context, self.key(candidate)) if is_ours else None,
        )


def cache_key(context: TrialContext, key: str) -> str | None:
    """The key of predictions that may be kept; None where the samples' contents are not known."""
    return key if context.test_sha256 else None


def run_trials(
    deployment: Deployment,
    candidates: Sequence[Candidate],
    baseline: Evaluation,
    evaluator: TrialEvaluator,
    settings: StudySettings,
    out: Path,
) -> tuple[tuple[Trial, ...], dict[str, EvaluatedTrial]]:
    """Measure each distinct candidate once; equal encodings share a measurement.

    Gives every candidate's trial, and by their keys those that were measured on all samples.
    """
    keys = ["" if candidate.failure else deployment.key(candidate) for candidate in candidates]
    firsts = {key: candidate for key, candidate in reversed([*zip(keys, candidates, strict=True)]) if key}
    distinct = [key for key in dict.fromkeys(keys) if key]
    models = [deployment.model(firsts[key]) for key in distinct]
    if settings.race_error is None:
        outcomes = evaluator.workers.each([partial(evaluator.outcome, model) for model in models])
    else:
        outcomes = [*raced(evaluator, models, settings.race_error, settings.seed)]
    against = _Losses(evaluator, baseline, settings.seed)
    losses = [against.of(key, outcome) for key, outcome in zip(distinct, outcomes, strict=True)]
    measured = {
        key: _trial(firsts[key], key, outcome, loss, out)
        for key, outcome, loss in zip(distinct, outcomes, losses, strict=True)
    }
    trials = tuple(
        _of(candidate, measured.get(key), out) for key, candidate in zip(keys, candidates, strict=True)
    )
    complete = {
        key: EvaluatedTrial(measured[key], outcome.evaluation)
        for key, outcome in zip(distinct, outcomes, strict=True)
        if outcome.status == OK and outcome.evaluation
    }
    return trials, complete


class _Losses:
    """What stopped candidates lose on the samples that they have seen."""

    def __init__(self, evaluator: TrialEvaluator, baseline: Evaluation, seed: int) -> None:
        self._evaluator, self._baseline, self._seed = evaluator, baseline, seed
        # Most are stopped at the same few looks.
        self._known: dict[tuple[int, ...], tuple[PairedBootstrap, ScoredCandidate]] = {}

    def of(self, key: str, outcome: EvaluationResult) -> Loss | None:
        """None where a candidate was not stopped."""
        if outcome.status != STOPPED or outcome.evaluation is None:
            return None
        bootstrap, floats = self._on(outcome.seen)
        return bootstrap.loss(floats, ScoredCandidate(key, 0, outcome.evaluation.score))

    def _on(self, seen: tuple[int, ...]) -> tuple[PairedBootstrap, ScoredCandidate]:
        if seen not in self._known:
            floats = self._evaluator.on(seen, self._baseline).score
            self._known[seen] = (
                PairedBootstrap(len(seen), self._seed),
                ScoredCandidate(BASELINE, 0, floats),
            )
        return self._known[seen]


def _trial(candidate: Candidate, key: str, outcome: EvaluationResult, loss: Loss | None, out: Path) -> Trial:
    name, evaluation, files = candidate.calibrator.name, outcome.evaluation, _files(candidate, out)
    if evaluation is None:
        return Trial(
            name, key, outcome.status, outcome.reason, files=files, recipe=candidate.recipe.to_dict()
        )
    if outcome.status == OK:
        files = replace(files, evidence=save_evidence(evaluation.score.evidence, out, key[:16]))
    return Trial(
        name,
        key,
        outcome.status,
        outcome.reason,
        score=ScoreValue.of(evaluation.score),
        figures=figures_of(evaluation.score),
        loss=loss,
        samples=len(outcome.seen),
        seconds=round(evaluation.seconds, 3),
        latency=evaluation.latency,
        files=files,
        recipe=candidate.recipe.to_dict(),
    )


def _of(candidate: Candidate, measured: Trial | None, out: Path) -> Trial:
    """A candidate's own trial, or its twin's under its name."""
    name = candidate.calibrator.name
    if measured is None:
        return Trial(name, "", FAILED, candidate.failure, recipe=candidate.recipe.to_dict())
    if measured.calibrator == name:
        return measured
    evidence = measured.files.evidence if measured.files else None
    files = replace(_files(candidate, out), evidence=evidence)
    return replace(
        measured, calibrator=name, files=files, same_as=measured.calibrator, recipe=candidate.recipe.to_dict()
    )


def _files(candidate: Candidate, out: Path) -> TrialFiles:
    assert candidate.qdq is not None
    assert candidate.encodings_file is not None
    own = tensorrt_cache_of(candidate.cache) if candidate.cache else None
    return TrialFiles(
        cache=candidate.cache.relative_to(out).as_posix() if candidate.cache else None,
        qdq=candidate.qdq.relative_to(out).as_posix(),
        encodings=candidate.encodings_file.relative_to(out).as_posix(),
        weights=candidate.weights.relative_to(out).as_posix() if candidate.weights else None,
        tensorrt_cache=own.relative_to(out).as_posix() if own and own.exists() else None,
    )
