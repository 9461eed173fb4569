"""The facade: what the command line does, as typed functions that return dataclasses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from calibrant.artifacts.store import output_folder
from calibrant.calibrators import DEFAULT_CALIBRATORS, NamedCalibrator, calibrators_named, distinct
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.schemes import scheme_named
from calibrant.core.types import Calibrator, Latency
from calibrant.graph.model import Model
from calibrant.graph.tensorrt_inner import with_inner_tensors
from calibrant.graph.tensorrt_tensors import CalibratedTensors, calibrated_tensors
from calibrant.runtimes import runtime_named
from calibrant.stages.collect import collect
from calibrant.stages.evaluate import evaluate as evaluate_stage
from calibrant.studies.caches import cache_from_json as cache_from_json
from calibrant.studies.caches import cache_to_json as cache_to_json
from calibrant.studies.caches import convert_cache as convert_cache
from calibrant.studies.caches import diff_caches as diff_caches
from calibrant.studies.caches import show_cache as show_cache
from calibrant.studies.candidates import CandidateFormat, CandidateModel, write_candidates
from calibrant.studies.compare import Comparison, compare_runs
from calibrant.studies.inspection import Inspection, inspect_model
from calibrant.studies.migration import migrate as migrate
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import (
    AUTO,
    detection_task,
    open_calibration,
    open_detector,
    open_test_set,
    prepare_study,
    quantization_plan,
    runnable_file,
)
from calibrant.studies.remarks import on_activations, on_score
from calibrant.studies.result import StudyResult, points_of
from calibrant.studies.run import run_study

PathLike: TypeAlias = str | Path
Calibrators: TypeAlias = str | Calibrator | Iterable[str | Calibrator] | Mapping[str, Calibrator]


@dataclass(frozen=True)
class CalibratedCandidate:
    """One calibrator's files; ``failure`` says why there are none."""

    calibrator: str
    cache: str | None
    qdq: str | None
    failure: str | None


@dataclass(frozen=True)
class CalibrationResult:
    """What calibrate wrote: from how many images, scales of how many tensors."""

    model: str
    family: str
    images: int
    tensors: int
    candidates: tuple[CalibratedCandidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**asdict(self), "candidates": [asdict(candidate) for candidate in self.candidates]}


@dataclass(frozen=True)
class EvaluationResult:
    """A model's COCO figures: points 0..100 by name (map50_95 first); None where undefined."""

    model: str
    family: str
    images: int
    seconds: float
    figures: Mapping[str, float | None]
    latency: Latency | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; the figures stand beside the rest, as in study.json."""
        rest = asdict(self)
        figures = rest.pop("figures")
        return {**rest, **figures}


def study(
    model: PathLike,
    calib: PathLike,
    data: PathLike,
    *,
    out: PathLike | None = None,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    family: str = AUTO,
    limit: int | None = None,
    calib_limit: int | None = None,
    imgsz: int | None = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    scheme: str = "tensorrt",
    keep_float: str | Sequence[str] = (),
    keep_head_float: bool = False,
    confidence: float = 0.001,
    iou: float = 0.65,
    seed: int = 0,
    progress: Progress | None = None,
) -> StudyResult:
    """Measure the float model and one INT8 candidate per calibrator, and recommend one.

    calib: folder, glob, list file, .npy or .npz. data: COCO JSON, Ultralytics data.yaml or Pascal VOC
    folder. calibrators: names (``"minmax,percentile:99.9"``), functions of your own (TensorStatistics,
    QuantSpec) -> Range, or a mapping from names to such functions. keep_float: node names or patterns.
    Writes study.json and each candidate's files into ``out`` (default ``runs/<model>-<time>``).
    Raises CalibrantError.
    """
    listener = progress or Silent()
    settings = StudySettings(
        scheme, runtime, _nodes(keep_float), keep_head_float, confidence, iou, imgsz=imgsz, seed=seed
    )
    chosen, engine = _chosen(calibrators), runtime_named(runtime, listener)
    detector = open_detector(Path(model), family, imgsz)
    test = open_test_set(detector, Path(data), limit, skip_bad)
    calibration = open_calibration(str(calib), calib_limit, skip_bad)
    prepared = prepare_study(detector, calibration, test, chosen, engine, settings, listener)
    with output_folder(Path(out) if out is not None else new_run_folder(Path(model).stem)) as folder:
        return run_study(prepared, folder, listener)


def calibrate(
    model: PathLike,
    calib: PathLike,
    out: PathLike,
    *,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    tensors: str = "quantized",
    family: str = AUTO,
    calib_limit: int | None = None,
    imgsz: int | None = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    scheme: str = "tensorrt",
    keep_float: str | Sequence[str] = (),
    keep_head_float: bool = False,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Write ``<calibrator>.cache`` and ``<calibrator>.qdq.onnx`` into ``out`` for every calibrator.

    No labels are needed. tensors: "quantized" for the inputs of quantized layers, "all" for the
    set that TensorRT's own caches hold. Other arguments as for study. Raises CalibrantError.
    """
    listener = progress or Silent()
    settings = StudySettings(scheme, runtime, _nodes(keep_float), keep_head_float, imgsz=imgsz)
    chosen, engine = _chosen(calibrators), runtime_named(runtime, listener)
    detector = open_detector(Path(model), family, imgsz)
    plan = quantization_plan(detector, settings)
    calibration = open_calibration(str(calib), calib_limit, skip_bad)
    for warning in calibration.warnings:
        listener.note(warning)
    observed = with_inner_tensors(detector.model) if tensors == "all" else detector.model
    written_as = CandidateFormat(calibrated=_calibrated_tensors(tensors, observed))
    wanted = written_as.tensors(plan)
    task = detection_task(detector, settings)
    with output_folder(Path(out)) as folder:
        statistics = collect(observed, wanted, task, engine, calibration.samples, listener)
        for remark in on_activations(statistics, plan.tensors):
            listener.note(remark)
        written = write_candidates(plan, statistics, chosen, folder, written_as)
    return CalibrationResult(
        model=str(model),
        family=detector.recognition.profile.name,
        images=len(calibration.samples),
        tensors=len(wanted),
        candidates=tuple(_calibrated(candidate) for candidate in written),
    )


def evaluate(
    model: PathLike,
    data: PathLike,
    *,
    family: str = AUTO,
    limit: int | None = None,
    imgsz: int | None = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    confidence: float = 0.001,
    iou: float = 0.65,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Score any float or Q/DQ detector on a labelled test set. Arguments as for study.

    Raises CalibrantError.
    """
    listener = progress or Silent()
    settings = StudySettings(runtime=runtime, confidence=confidence, iou=iou, imgsz=imgsz)
    engine = runtime_named(runtime, listener)
    detector = open_detector(Path(model), family, imgsz)
    test = open_test_set(detector, Path(data), limit, skip_bad)
    for warning in test.warnings:
        listener.note(warning)
    task = detection_task(detector, settings, test)
    with runnable_file(detector.model) as file:
        found = evaluate_stage(lambda: engine.open(file), task, test.samples, "Evaluating", listener)
    figures = {"map50_95": found.score.value, **found.score.details}
    for remark in on_score(points_of(found.score.value) or 0.0, detector.recognition.profile.name):
        listener.note(remark)
    return EvaluationResult(
        model=str(model),
        family=detector.recognition.profile.name,
        images=len(test.samples),
        seconds=round(found.seconds, 3),
        figures={name: points_of(fraction) for name, fraction in figures.items()},
        latency=found.latency,
    )


def compare(runs: Sequence[PathLike], *, seed: int = 0) -> Comparison:
    """Compare finished studies of one model on the same data with the first of them.

    runs: folders that study wrote. Raises DataError for runs that do not belong together.
    """
    return compare_runs([Path(run) for run in runs], seed)


def inspect(
    model: PathLike, *, family: str = AUTO, imgsz: int | None = None, scheme: str = "tensorrt"
) -> Inspection:
    """Describe a model without running it: signature, family, cost, what a scheme would quantize.

    What stands in the way of a study, such as an unknown family, is described and not raised.
    Raises ModelError for an unusable file.
    """
    return inspect_model(Path(model), family, scheme_named(scheme), imgsz)


def _chosen(calibrators: Calibrators) -> tuple[NamedCalibrator, ...]:
    if isinstance(calibrators, str):
        return calibrators_named(calibrators)
    if isinstance(calibrators, Mapping):
        return distinct(NamedCalibrator(name, function) for name, function in calibrators.items())
    if not isinstance(calibrators, Iterable):
        calibrators = (calibrators,)
    return distinct(entry for item in calibrators for entry in _entries(item))


def _entries(item: str | Calibrator) -> tuple[NamedCalibrator, ...]:
    if isinstance(item, str):
        return calibrators_named(item)
    if callable(item):
        return (NamedCalibrator(getattr(item, "__name__", type(item).__name__), item),)
    raise SettingsError(
        f"{item!r} is no calibrator; give names or functions (TensorStatistics, QuantSpec) -> Range"
    )


def _calibrated_tensors(tensors: str, model: Model) -> CalibratedTensors | None:
    if tensors == "all":
        return calibrated_tensors(model)
    if tensors == "quantized":
        return None
    raise SettingsError(f"tensors {tensors!r} means nothing; use 'quantized' or 'all'")


def _nodes(keep_float: str | Sequence[str]) -> tuple[str, ...]:
    return (keep_float,) if isinstance(keep_float, str) else tuple(keep_float)


def _calibrated(candidate: CandidateModel) -> CalibratedCandidate:
    return CalibratedCandidate(
        candidate.calibrator.name,
        str(candidate.cache) if candidate.cache else None,
        str(candidate.qdq) if candidate.qdq else None,
        candidate.failure,
    )


def new_run_folder(stem: str) -> Path:
    """Where a run goes when the user names no folder: ``runs/<stem>-<time>``."""
    return Path("runs") / f"{stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
