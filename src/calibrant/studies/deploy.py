"""What a runtime is given of a candidate, and how it wants candidates to be written."""

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
from calibrant.graph.model import Model
from calibrant.graph.tensorrt_inner import with_inner_tensors
from calibrant.graph.tensorrt_sigmoid import with_tensorrt_sigmoid
from calibrant.graph.tensorrt_tensors import calibrated_tensors
from calibrant.stages.sessions import model_inputs
from calibrant.studies.candidates import CandidateFormat, CandidateModel

TENSORRT = "tensorrt"


def format_for(runtime: Runtime, model: Model) -> CandidateFormat:
    """How this runtime wants candidates' files to be written: its version's, with all that it reads."""
    if runtime.name != TENSORRT:
        return CandidateFormat()
    has_calibrators = int(runtime.version.partition(".")[0]) <= LAST_WITH_CALIBRATORS
    version = version_named(runtime.version) if has_calibrators else DEFAULT_TENSORRT
    calibrated = calibrated_tensors(with_inner_tensors(model)) if _reads_caches(runtime) else None
    return CandidateFormat(version, calibrated=calibrated)


def observed_model(runtime: Runtime, model: Model) -> Model:
    """The model whose activations are collected: computed as TensorRT does, where it is to read caches."""
    return as_tensorrt_computes(model) if _reads_caches(runtime) else model


def as_tensorrt_computes(model: Model) -> Model:
    """A copy that also computes TensorRT's inner tensors, and rounds Sigmoid as TensorRT does."""
    return with_tensorrt_sigmoid(with_inner_tensors(model))


def _reads_caches(runtime: Runtime) -> bool:
    return isinstance(runtime, QuantizingRuntime) and runtime.reads_caches


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
    if not isinstance(runtime, QuantizingRuntime):
        return runtime.open(candidate.qdq)
    assert candidate.cache is not None
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
