"""From paths and names to a checked coverage study: what can be wrong is found here, before work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import DataError, SettingsError
from calibrant.core.progress import Progress
from calibrant.core.types import Runtime
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.same_function import require_same_function
from calibrant.studies.candidates import QuantizationPlan
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import (
    CalibrationSet,
    Detector,
    TestSet,
    detection_task,
    open_calibration,
    open_detector,
    open_test_set,
    quantization_plan,
)
from calibrant.tasks.detection import Category, DetectionTask

_CLASSES_ASSUMED = 1000
"""Where neither outputs nor labels tell how many classes there are."""


@dataclass(frozen=True)
class CoverageSettings:
    """What the user decided; ``study`` is what a study would be given.

    shuffles: random orders of the calibration set. budget: seconds for measuring mAP; an evaluation that is
    not expected to end in time is not begun. Raises SettingsError for a number outside its limits.
    """

    study: StudySettings = field(default_factory=StudySettings)
    shuffles: int = 5
    budget: float = 300.0

    def __post_init__(self) -> None:
        if self.shuffles < 2:
            raise SettingsError(f"{self.shuffles} shuffles show no spread; use 2 or more, e.g. --shuffles 5")
        if self.budget < 0:
            raise SettingsError(f"a budget of {self.budget:g} s is negative; use 0 to measure no mAP")

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**self.study.to_dict(), "shuffles": self.shuffles, "budget": self.budget}


@dataclass(frozen=True)
class CoverageStudy:
    """Everything a coverage study needs, checked before the work begins.

    ``test`` and ``pool`` are None where they were not given. ``task`` reads the model's classes as
    ``categories``: the test set's, or the model's own.
    """

    detector: Detector
    plan: QuantizationPlan
    task: DetectionTask
    runtime: Runtime
    calibrators: tuple[NamedCalibrator, ...]
    calibration: CalibrationSet
    test: TestSet | None
    pool: CalibrationSet | None
    settings: CoverageSettings
    warnings: tuple[str, ...]

    @property
    def shows_images(self) -> bool:
        """Whether the calibration samples are images: preprocessed arrays cannot be looked at."""
        return all(sample.path is not None for sample in self.calibration.samples)


def open_coverage_study(
    model: Path,
    calib: str,
    data: Path | None,
    pool: str | None,
    calibrators: Sequence[NamedCalibrator],
    settings: CoverageSettings,
    family: str,
    limits: tuple[int | None, int | None],
    skip_bad: bool,
    progress: Progress,
) -> CoverageStudy:
    """Open and check everything; ``limits`` are of the test and of the calibration images.

    Raises CalibrantError.
    """
    runtime = runtime_named(REFERENCE, progress)
    detector = open_detector(model, family, settings.study.imgsz)
    plan = quantization_plan(detector, settings.study)
    calibration = open_calibration(calib, limits[1], skip_bad)
    test = open_test_set(detector, data, limits[0], skip_bad) if data else None
    candidates = open_calibration(pool, None, skip_bad) if pool else None
    if candidates and any(sample.path is None for sample in candidates.samples):
        raise DataError(f"the pool '{pool}' holds arrays; give a folder of images, a glob or a list file")
    warnings = [warning for part in (test, calibration, candidates) if part for warning in part.warnings]
    for warning in warnings:
        progress.note(warning)
    task = detection_task(detector, settings.study, test) if test else _own_classes(detector, settings.study)
    require_same_function(plan.model, runtime, lambda session: task.drive(session, calibration.samples[0]))
    return CoverageStudy(
        detector, plan, task, runtime, tuple(calibrators), calibration, test, candidates, settings,
        tuple(warnings),
    )  # fmt: skip


def _own_classes(detector: Detector, settings: StudySettings) -> DetectionTask:
    """A task that numbers classes as the model does, where no labels say otherwise."""
    found = detector.recognition
    count = found.class_count or _CLASSES_ASSUMED
    names = found.class_names or tuple(f"class {index}" for index in range(count))
    return DetectionTask(
        found.profile,
        detector.signature,
        categories=tuple(Category(index, name) for index, name in enumerate(names)),
        class_map=range(count),
        confidence=settings.confidence,
        iou=settings.iou,
        max_detections=settings.max_detections,
    )
