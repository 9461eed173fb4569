"""From paths and names to a checked Study: everything that can be wrong is found here, before work."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.progress import Progress
from calibrant.core.schemes import scheme_named
from calibrant.core.types import ModelSignature, QuantizingRuntime, Runtime, Scheme
from calibrant.graph.model import (
    Model,
    dynamic_image_input,
    load_model,
    needs_a_copy,
    opset_of,
    raised,
    save_model,
    signature_of,
    with_fixed_input,
)
from calibrant.graph.points import pooling_ties, quant_plan
from calibrant.graph.qdq import require_finite_weights
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.same_function import require_same_function
from calibrant.studies.candidates import QuantizationPlan
from calibrant.studies.plan import StudySettings, TrialContext, ids_sha256
from calibrant.studies.remarks import on_graph, on_scheme
from calibrant.studies.result import DataSummary, ModelSummary
from calibrant.studies.run import Study
from calibrant.tasks.detection import (
    CalibrationSample,
    Dataset,
    DetectionSample,
    DetectionTask,
    Recognition,
    calibration_samples,
    check_images,
    contents_sha256,
    family_named,
    load_profile,
    match_categories,
    open_dataset,
    recognise,
    remark_on_names,
    shared_images,
)

AUTO = "auto"


@dataclass(frozen=True)
class Detector:
    """A model with what it was taken for."""

    model: Model
    signature: ModelSignature
    recognition: Recognition


@dataclass(frozen=True)
class TestSet:
    """A labelled data set that fits a detector. ``class_map`` gives a model class its category index."""

    dataset: Dataset
    samples: tuple[DetectionSample, ...]
    class_map: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationSet:
    """Calibration samples in order; the first one anchors the histograms."""

    source: str
    samples: tuple[CalibrationSample, ...]
    warnings: tuple[str, ...]


def open_detector(path: Path, family: str = AUTO, imgsz: int | None = None) -> Detector:
    """Load a model and recognise its family, or take the one that is named (a name or a YAML file).

    Raises ModelError, UnknownFamilyError or SettingsError.
    """
    model = load_model(path)
    if imgsz is not None:
        model = replace(model, ir=with_fixed_input(model, imgsz, imgsz))
    elif dynamic_image_input(signature_of(model)):
        raise ModelError(f"{path.name} has a dynamic input shape; give its size, e.g. --imgsz 640")
    signature = signature_of(model)
    return Detector(model, signature, named_recognition(signature, family))


def named_recognition(signature: ModelSignature, family: str) -> Recognition:
    """What a model is: recognised from its outputs (``auto``), or as the user names it.

    family: ``auto``, a family's name or a profile's YAML file.
    Raises UnknownFamilyError or SettingsError.
    """
    if family == AUTO:
        return recognise(signature)
    if Path(family).suffix in {".yaml", ".yml"}:
        return recognise(signature, load_profile(Path(family)))
    return recognise(signature, family_named(family))


@contextmanager
def runnable_file(model: Model) -> Iterator[Path]:
    """The model's file, or a copy for the time being where a runtime cannot open it as it is."""
    if not needs_a_copy(model):
        yield model.path
        return
    with tempfile.TemporaryDirectory(prefix="calibrant-") as folder:
        copy = Path(folder) / model.path.name
        save_model(model.ir, copy)
        yield copy


def open_test_set(detector: Detector, data: Path, limit: int | None, skip_bad: bool) -> TestSet:
    """Open a labelled data set and map the model's classes onto it.

    Raises DataError, ImageError or ClassMismatchError.
    """
    dataset = open_dataset(data, limit)
    found = detector.recognition
    # Models with NMS inside do not show how many classes they have: then the labels' count is taken.
    class_count = found.class_count or len(dataset.categories)
    class_map = match_categories(dataset.categories, class_count, found.class_names)
    samples, warnings = check_images(dataset.samples, skip_bad)
    remarks = remark_on_names(dataset.categories, found.class_names)
    return TestSet(dataset, samples, class_map, (*dataset.warnings, *remarks, *warnings))


def open_calibration(source: str, limit: int | None, skip_bad: bool) -> CalibrationSet:
    """Open calibration samples, in order. Raises DataError or ImageError."""
    samples, warnings = check_images(calibration_samples(source, limit), skip_bad)
    return CalibrationSet(source, samples, warnings)


def detection_task(detector: Detector, settings: StudySettings, test: TestSet | None = None) -> DetectionTask:
    """The task for a detector; without a test set it can drive the model but not score."""
    return DetectionTask(
        detector.recognition.profile,
        detector.signature,
        categories=test.dataset.categories if test else (),
        class_map=test.class_map if test else (),
        confidence=settings.confidence,
        iou=settings.iou,
        max_detections=settings.max_detections,
    )


def quantization_plan(detector: Detector, settings: StudySettings) -> QuantizationPlan:
    """Where the scheme quantizes this model, which is raised to the opset that the scheme needs.

    Raises SettingsError when it quantizes nothing, and NumericsError when a weight is not finite.
    """
    scheme = scheme_named(settings.scheme)
    model = raised(detector.model, scheme.min_opset)
    points = quant_plan(model, scheme, settings.keep_float, settings.keep_head_float)
    if not points.weights:
        raise SettingsError(
            f"nothing in {detector.model.path.name} is quantized by scheme {scheme.name}: "
            f"no {', '.join(scheme.weight_axis)} with a constant weight is left"
        )
    require_finite_weights(model, points)
    ties = pooling_ties(model) if scheme.ties_pooling else {}
    return QuantizationPlan(model, scheme, points, ties)


def prepare_study(
    detector: Detector,
    calibration: CalibrationSet,
    test: TestSet,
    calibrators: Sequence[NamedCalibrator],
    runtime: Runtime,
    settings: StudySettings,
    progress: Progress,
) -> Study:
    """Check everything that a study needs and describe it."""
    shared = shared_images(calibration.samples, test.samples)
    warnings = [*test.warnings, *calibration.warnings]
    if shared:
        warnings.append(
            f"{len(shared)} of {len(test.samples)} test images are calibration images too, e.g. {shared[0]}; "
            "the loss will look smaller than it is: take them out of --calib"
        )
    plan = quantization_plan(detector, settings)
    _require_runnable(plan.scheme, runtime)
    warnings += on_scheme(plan.scheme, runtime)
    for remark in on_graph(plan.model, plan.points):
        progress.note(remark)
    for warning in warnings:
        progress.note(warning)
    test_ids = ids_sha256(sample.id for sample in test.samples)
    task = detection_task(detector, settings, test)
    collector = runtime if runtime.name == REFERENCE else runtime_named(REFERENCE)
    require_same_function(plan.model, collector, lambda session: task.drive(session, calibration.samples[0]))
    return Study(
        plan=plan,
        float_model=detector.model.path,
        task=task,
        collector=collector,
        runtime=runtime,
        calibration=calibration.samples,
        test=test.samples,
        calibrators=calibrators,
        settings=settings,
        context=TrialContext(
            task=task.name,
            model_sha256=detector.model.sha256,
            profile=asdict(detector.recognition.profile),
            settings=settings,
            test_ids_sha256=test_ids,
            truth_sha256=_truth_sha256(test.samples),
            test_sha256=_test_sha256(test),
            runtime_version=runtime.version,
        ),
        model=model_summary(detector, plan),
        data=_data_summary(test, test_ids, calibration, len(shared)),
        warnings=tuple(warnings),
        calibration_sha256=contents_sha256(calibration.samples),
    )


def _require_runnable(scheme: Scheme, runtime: Runtime) -> None:
    if isinstance(runtime, QuantizingRuntime) and not scheme.has_caches:
        raise SettingsError(
            f"scheme {scheme.name} has {scheme.activations.dtype} activations with zero points, which "
            f"{runtime.name} refuses; use --scheme tensorrt"
        )


def model_summary(detector: Detector, plan: QuantizationPlan) -> ModelSummary:
    """Which model it is and what it was taken for, as results keep it."""
    return ModelSummary(
        path=str(detector.model.path),
        sha256=detector.model.sha256,
        family=detector.recognition.profile.name,
        family_reason=detector.recognition.why,
        opset=opset_of(detector.model),
        quantized_nodes=len({point.node for point in plan.points.weights}),
        kept_float=plan.points.kept_float,
        profile=asdict(detector.recognition.profile),
        kept_float_reasons=plan.points.why_float,
    )


def _data_summary(test: TestSet, test_ids: str, calibration: CalibrationSet, in_both: int) -> DataSummary:
    return DataSummary(
        dataset=str(test.dataset.source),
        test_images=len(test.samples),
        test_boxes=sum(len(sample.truth.boxes) for sample in test.samples),
        classes=len(test.dataset.categories),
        test_ids_sha256=test_ids,
        calibration=calibration.source,
        calibration_images=len(calibration.samples),
        calibration_ids_sha256=ids_sha256(sample.id for sample in calibration.samples),
        images_in_both=in_both,
    )


def _truth_sha256(samples: Sequence[DetectionSample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        truth = sample.truth
        for array in (truth.boxes, truth.classes, truth.areas, truth.crowd):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _test_sha256(test: TestSet) -> str:
    """A hash of the images' contents and of how the model's classes are read."""
    return hashlib.sha256(f"{contents_sha256(test.samples)} {test.class_map}".encode()).hexdigest()
