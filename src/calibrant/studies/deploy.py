"""What a runtime is given of a candidate, and what it wants of the calibration beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from calibrant.artifacts.trt_cache import (
    ALGORITHMS,
    DEFAULT_TENSORRT,
    LAST_WITH_CALIBRATORS,
    LEGACY,
    version_named,
)
from calibrant.core.types import Deployable, QuantizingRuntime, Runtime, Sample, Session, Task
from calibrant.graph.points import activation_tensors
from calibrant.stages.sessions import model_inputs
from calibrant.studies.candidates import CandidateFormat, CandidateModel, QuantizationPlan

TENSORRT = "tensorrt"


def tensors_for(runtime: Runtime, plan: QuantizationPlan) -> tuple[str, ...]:
    """The activations whose statistics candidates need: all of them where a cache must speak for each."""
    if isinstance(runtime, QuantizingRuntime) and runtime.reads_caches:
        return tuple(dict.fromkeys((*plan.tensors, *activation_tensors(plan.model))))
    return plan.tensors


def format_for(runtime: Runtime) -> CandidateFormat:
    """How this runtime wants candidates' files to be written."""
    if runtime.name != TENSORRT:
        return CandidateFormat()
    has_calibrators = int(runtime.version.partition(".")[0]) <= LAST_WITH_CALIBRATORS
    version = version_named(runtime.version) if has_calibrators else DEFAULT_TENSORRT
    return CandidateFormat(version, float_weights=True)


def calibration_method(runtime: Runtime, candidate: CandidateModel) -> str | None:
    """Whose scales a trial measures, where that is not the candidate's encodings."""
    if isinstance(runtime, QuantizingRuntime) and runtime.calibrates_itself:
        return candidate.calibrator.name
    return None


def open_candidate(
    runtime: Runtime,
    candidate: CandidateModel,
    float_model: Path,
    task: Task,
    collector: Runtime,
    calibration: Sequence[Sample],
) -> Session:
    """Open a candidate in the form that the runtime prefers. Raises RuntimeFailedError."""
    assert candidate.qdq is not None
    assert candidate.cache is not None
    if not isinstance(runtime, QuantizingRuntime):
        return runtime.open(candidate.qdq)
    calibrator = candidate.calibrator
    return runtime.open_candidate(
        Deployable(
            name=calibrator.name,
            float_model=float_model,
            qdq=candidate.qdq,
            cache=candidate.cache,
            algorithm=calibrator.algorithm,
            quantile=calibrator.quantile,
            is_tensorrts_own=calibrator.name.partition(":")[0] in {*ALGORITHMS, LEGACY},
            tensorrts_cache=tensorrt_cache_of(candidate.cache),
            batches=partial(model_inputs, float_model, task, collector, calibration),
        )
    )


def tensorrt_cache_of(cache: Path) -> Path:
    """Where the cache of TensorRT's own calibrator goes, beside Calibrant's."""
    return cache.with_name(f"{cache.stem}.tensorrt.cache")
