"""What a runtime is given of a candidate, and how it wants candidates to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

from calibrant.core.types import Deployable, Feeds, QuantizingRuntime, Runtime, Scheme, Session
from calibrant.models.onnx.model import Model
from calibrant.stages.remote.files import NamedFile
from calibrant.stages.remote.predicting import ModelToOpen
from calibrant.studies.candidates import Candidate, CandidateFormat
from calibrant.targets.tensorrt.cache import (
    ALGORITHMS,
    DEFAULT_TENSORRT,
    LAST_WITH_CALIBRATORS,
    LEGACY,
    version_named,
)
from calibrant.targets.tensorrt.inner import with_inner_tensors
from calibrant.targets.tensorrt.sigmoid import with_tensorrt_sigmoid
from calibrant.targets.tensorrt.tensors import calibrated_tensors

TENSORRT = "tensorrt"
Batches: TypeAlias = Callable[[], Iterator[Feeds]]
"""Gives the calibration samples as the model's inputs."""


def format_for(runtime: Runtime, model: Model, scheme: Scheme) -> CandidateFormat:
    """How this runtime wants candidates' files to be written: its version's, with all that it reads."""
    needs_all = _needs_all_scales(runtime, scheme)
    calibrated = calibrated_tensors(with_inner_tensors(model)) if needs_all else None
    if runtime.name != TENSORRT:
        return CandidateFormat(calibrated=calibrated)
    has_calibrators = int(runtime.version.partition(".")[0]) <= LAST_WITH_CALIBRATORS
    version = version_named(runtime.version) if has_calibrators else DEFAULT_TENSORRT
    return CandidateFormat(version, calibrated=calibrated)


def observed_model(runtime: Runtime, model: Model, scheme: Scheme) -> Model:
    """The model whose activations are collected: computed as TensorRT does, where it is to read caches."""
    return as_tensorrt_computes(model) if _needs_all_scales(runtime, scheme) else model


def as_tensorrt_computes(model: Model) -> Model:
    """A copy that also computes TensorRT's inner tensors, and rounds Sigmoid as TensorRT does."""
    return with_tensorrt_sigmoid(with_inner_tensors(model))


def _needs_all_scales(runtime: Runtime, scheme: Scheme) -> bool:
    """Whether caches are deployed, which name every tensor of TensorRT's network."""
    return scheme.rounds_fused_layers or _reads_caches(runtime)


def _reads_caches(runtime: Runtime) -> bool:
    return isinstance(runtime, QuantizingRuntime) and runtime.reads_caches


def calibration_method(runtime: Runtime, candidate: Candidate) -> str | None:
    """Whose scales a trial measures, where that is not the candidate's encodings."""
    if isinstance(runtime, QuantizingRuntime) and runtime.calibrates_itself:
        return candidate.calibrator.name
    return None


def open_candidate(runtime: Runtime, candidate: Candidate, float_model: Path, batches: Batches) -> Session:
    """Open a candidate in the form that the runtime prefers. Raises RuntimeFailedError."""
    assert candidate.qdq is not None
    if not isinstance(runtime, QuantizingRuntime):
        return runtime.open(candidate.qdq)
    return runtime.open_candidate(_deployable(candidate, float_model, batches))


def candidate_to_open(
    runtime: Runtime, specification: str, candidate: Candidate, float_model: Path, batches: Batches
) -> ModelToOpen:
    """The same for another process: what it has to know. specification: the runtime as users name it."""
    assert candidate.qdq is not None
    file = NamedFile.of(candidate.qdq)
    if not isinstance(runtime, QuantizingRuntime):
        return ModelToOpen(specification, file)
    fed = batches if runtime.calibrates_itself else partial(iter, ())
    return ModelToOpen(specification, file, _deployable(candidate, float_model, fed))


def _deployable(candidate: Candidate, float_model: Path, batches: Batches) -> Deployable:
    assert candidate.qdq is not None
    assert candidate.cache is not None
    calibrator, cache = candidate.calibrator, candidate.cache.absolute()
    return Deployable(
        name=calibrator.name,
        float_model=float_model.absolute(),
        qdq=candidate.qdq.absolute(),
        cache=cache,
        algorithm=calibrator.algorithm,
        quantile=calibrator.quantile,
        is_tensorrts_own=calibrator.name.partition(":")[0] in {*ALGORITHMS, LEGACY},
        tensorrts_cache=tensorrt_cache_of(cache),
        batches=batches,
    )


def tensorrt_cache_of(cache: Path) -> Path:
    """Where the cache of TensorRT's own calibrator goes, beside Calibrant's."""
    return cache.with_name(f"{cache.stem}.tensorrt.cache")
