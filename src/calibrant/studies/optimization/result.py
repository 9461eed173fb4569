"""What an optimization found, as values and as the versioned optimization.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibrant.studies.result import Accuracy, ModelSummary

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Loss:
    """mAP and what is lost against the float model on the same images, points, with the 95 % interval."""

    map50_95: float
    drop: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A quantized model: what it is made of, how much of it is INT8, and what it loses.

    int8_share: of all multiply-accumulates, 0..1. agreement: with the float model's detections on selecting
    images, 0..1. expected, at_most: the points that it will lose on other images by that, and hardly more.
    ``select`` was looked at while choosing and flatters; ``report`` was not. latency_ms: median
    of one image on the measured runtime; None where it cannot tell.
    """

    name: str
    explanation: str
    recipe: Mapping[str, Any]
    int8_share: float
    agreement: float
    expected: float
    at_most: float
    select: Loss
    report: Loss | None
    latency_ms: float | None


@dataclass(frozen=True)
class Ablation:
    """What one lever brings: the chosen model without it, on the report images.

    gain: points that the lever brings there, with the 95 % interval.
    """

    lever: str
    map50_95: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class OptimizationFiles:
    """Files to deploy, relative to the folder; None: there is no such file.

    ``cache`` belongs to ``float_model``, the float model after mending.
    """

    qdq: str
    encodings: str
    recipe: str
    cache: str | None = None
    float_model: str | None = None


@dataclass(frozen=True)
class OptimizationResult:
    """A finished search. ``front`` is sorted by INT8 share, most first, and holds the chosen point.

    best_single: the best calibrator alone. gain_over_single: points won over it on the report images, with
    the 95 % interval (low, high). is_met: whether the chosen model keeps the target on the report images.
    """

    out: str
    created: str
    model: ModelSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    select_images: int
    report_images: int
    calibration_images: int
    max_drop: float
    float_select: Accuracy
    float_report: Accuracy
    float_latency_ms: float | None
    chosen: Point
    best_single: Point
    gain_over_single: tuple[float, float, float]
    front: tuple[Point, ...]
    ablation: tuple[Ablation, ...]
    files: OptimizationFiles
    models_measured: int
    seconds: float
    was_interrupted: bool
    warnings: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether the chosen model loses no more than it may, on the report images."""
        return self.chosen.report is not None and self.chosen.report.drop <= self.max_drop

    def to_dict(self) -> dict[str, Any]:
        """The result as optimization.json holds it; JSON types only."""
        content = asdict(self)
        content["model"]["kept_float"] = list(self.model.kept_float)
        return {
            "schema_version": SCHEMA_VERSION,
            "units": "mAP figures and drops are points, 0..100; shares are 0..1",
            "is_met": self.is_met,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in content.items()},
        }
