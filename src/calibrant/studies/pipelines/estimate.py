"""What work on all parts of a model takes: the parts' own, and what is measured together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from calibrant.studies.estimate import (
    Estimate,
    evaluation_seconds,
    optimization_estimate,
    study_estimate,
    told_seconds,
)
from calibrant.studies.pipelines.prepare import PipelineStudy


def pipeline_estimate(
    pipeline: PipelineStudy, out: str, diagnosis: float | None = None, *, cached: bool = True
) -> Estimate:
    """Of a study of all parts. Arguments as for study_estimate."""
    parts = {
        part: study_estimate(study, f"{out}/{part}", diagnosis, cached=cached)
        for part, study in pipeline.studies.items()
    }
    count = len(parts)
    sets = 0 if count < 2 else 2 if count == 2 else 2 + count  # the simplest together, and the best
    found = _summed(pipeline, parts, out)
    steps = (*found.steps, "measure the best of each part together, and write the whole to deploy")
    return replace(found, steps=steps, seconds=found.seconds + sets * _evaluation(pipeline))


def pipeline_optimization_estimate(pipeline: PipelineStudy, out: str, budget: float) -> Estimate:
    """Of an optimization of all parts, which share the budget (seconds)."""
    parts = {
        part: optimization_estimate(study, f"{out}/{part}", budget / len(pipeline.studies))
        for part, study in pipeline.studies.items()
    }
    found = _summed(pipeline, parts, out)
    # All parts, all best calibrators, and each part's best calibrator and its float model among the others.
    sets = 2 * (1 + len(parts))
    steps = (*found.steps, f"choose among at most {sets} wholes, and write one to deploy")
    return replace(found, steps=steps, seconds=found.seconds + sets * _evaluation(pipeline))


def _evaluation(pipeline: PipelineStudy) -> float:
    """Seconds of one candidate on all test samples: it runs all parts, whichever is quantized."""
    return evaluation_seconds(next(iter(pipeline.studies.values())))


def _summed(pipeline: PipelineStudy, parts: Mapping[str, Estimate], out: str) -> Estimate:
    """Memory is the largest part's with the others' weights beside it; the whole is copied to be deployed."""
    weights = pipeline.weights
    return Estimate(
        out,
        tuple(
            f"{part}: about {told_seconds(found.seconds)}: {'; '.join(found.steps)}"
            for part, found in parts.items()
        ),
        sum(found.seconds for found in parts.values()),
        max(found.memory + 2 * (sum(weights.values()) - weights[part]) for part, found in parts.items()),
        sum(found.disk for found in parts.values()) + sum(weights.values()),
        sum(found.cache for found in parts.values()),
    )
