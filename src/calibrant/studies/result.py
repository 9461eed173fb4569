"""What a study found, as values and as the versioned study.json. All mAP figures are points, 0..100."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from calibrant.core.types import Latency, Score
from calibrant.stages.recommend import Drop

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelSummary:
    """Which model was studied, and what it was taken for.

    ``profile`` says how its input is made and its output read; ``kept_float`` names the nodes that the
    scheme would quantize but that stayed in float; ``kept_float_reasons`` says why, also of layers that the
    scheme does not know.
    """

    path: str
    sha256: str
    family: str
    family_reason: str
    opset: int
    quantized_nodes: int
    kept_float: tuple[str, ...]
    profile: Mapping[str, Any] = field(default_factory=dict)
    kept_float_reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSummary:
    """Which images took part; the hashes are over their ids, in order."""

    dataset: str
    test_images: int
    test_boxes: int
    classes: int
    test_ids_sha256: str
    calibration: str
    calibration_images: int
    calibration_ids_sha256: str
    images_in_both: int


@dataclass(frozen=True)
class Accuracy:
    """COCO figures, points 0..100; None where the data set has no such boxes."""

    map50_95: float
    map50: float | None
    map_small: float | None
    map_medium: float | None
    map_large: float | None


@dataclass(frozen=True)
class Baseline:
    """The float model on the same images; ``evidence`` is a file in the run's folder."""

    accuracy: Accuracy
    seconds: float
    latency: Latency | None = None
    evidence: str | None = None


@dataclass(frozen=True)
class TrialFiles:
    """Files to deploy, relative to the run's folder.

    ``tensorrt_cache`` is what TensorRT's own calibrator wrote; ``evidence`` lets a later comparison be
    paired. None: there is no such file.
    """

    cache: str | None
    qdq: str
    encodings: str | None = None
    tensorrt_cache: str | None = None
    evidence: str | None = None


@dataclass(frozen=True)
class Trial:
    """One candidate: measured (``status`` "ok"), stopped or failed, with the reason.

    A stopped one was beaten beyond doubt after ``images`` images: its figures are of these, and so is the
    drop, against the float model on the same images.
    ``same_as`` names an earlier trial with identical encodings, whose measurement this one shares.
    ``seconds`` is the wall time of the evaluation.
    """

    calibrator: str
    key: str
    status: str
    reason: str | None = None
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    images: int | None = None
    seconds: float | None = None
    latency: Latency | None = None
    files: TrialFiles | None = None
    same_as: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The trial as study.json holds it."""
        return {
            "calibrator": self.calibrator,
            "key": self.key,
            "status": self.status,
            "reason": self.reason,
            **(asdict(self.accuracy) if self.accuracy else dict.fromkeys(Accuracy.__dataclass_fields__)),
            "drop": self.drop and _rounded(self.drop.points),
            "drop_ci95": self.drop and [_rounded(self.drop.low), _rounded(self.drop.high)],
            "images": self.images,
            "seconds": self.seconds,
            "latency": _rounded_latency(self.latency),
            "same_as": self.same_as,
            "files": self.files and {kind: path for kind, path in asdict(self.files).items() if path},
        }


@dataclass(frozen=True)
class Recommended:
    """The calibrator to deploy and why; ``tied`` could not be told from the best.

    ``held_out_drop`` (points) is lost when the best is chosen on one half of the images and measured on
    the other half, averaged over random splits.
    """

    calibrator: str
    reason: str
    tied: tuple[str, ...]
    held_out_drop: float


@dataclass(frozen=True)
class StudyResult:
    """A finished study. ``out`` is the folder that holds study.json and the files to deploy."""

    out: str
    created: str
    model: ModelSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    data: DataSummary
    baseline: Baseline
    trials: tuple[Trial, ...]
    recommended: Recommended | None
    calibration_seconds: float
    warnings: tuple[str, ...] = ()
    task: str = "detection"

    @property
    def ranking(self) -> tuple[Trial, ...]:
        """The measured trials, best first (equals in the given order), then the stopped and the failed ones.

        Stopped ones saw fewer images, so that their drops are compared and not their mAP.
        """
        return tuple(sorted(self.trials, key=_rank))

    def trial(self, calibrator: str) -> Trial:
        """The trial of one calibrator. Raises KeyError."""
        for trial in self.trials:
            if trial.calibrator == calibrator:
                return trial
        raise KeyError(calibrator)

    def to_dict(self) -> dict[str, Any]:
        """The study as study.json holds it; JSON types only."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "units": "mAP figures and drops are points, 0..100",
            "task": self.task,
            "model": {**asdict(self.model), "kept_float": list(self.model.kept_float)},
            "environment": dict(self.environment),
            "settings": dict(self.settings),
            "data": asdict(self.data),
            "calibration_seconds": self.calibration_seconds,
            "baseline": {
                **asdict(self.baseline.accuracy),
                "seconds": self.baseline.seconds,
                "latency": _rounded_latency(self.baseline.latency),
                "evidence": self.baseline.evidence,
            },
            "trials": [trial.to_dict() for trial in self.trials],
            "recommended": self._recommended_dict(),
            "warnings": list(self.warnings),
        }

    def _recommended_dict(self) -> dict[str, Any] | None:
        if self.recommended is None:
            return None
        return {**asdict(self.recommended), "tied": list(self.recommended.tied)}


def accuracy_of(score: Score) -> Accuracy:
    """A detection score in points."""
    points = {name: points_of(score.details.get(name, math.nan)) for name in Accuracy.__dataclass_fields__}
    return Accuracy(**{**points, "map50_95": points_of(score.value) or 0.0})  # type: ignore[arg-type]


def points_of(fraction: float) -> float | None:
    """A fraction as points, 0..100; None where it is undefined (nan, or COCO's -1)."""
    return None if math.isnan(fraction) or fraction < 0 else _rounded(100 * fraction)


def _rounded_latency(latency: Latency | None) -> dict[str, Any] | None:
    if latency is None:
        return None
    told = {name: value for name, value in asdict(latency).items() if value not in (None, ())}
    return {name: _rounded(value) if isinstance(value, float) else value for name, value in told.items()}


def _rounded(points: float) -> float:
    return round(points, 4)


def _rank(trial: Trial) -> tuple[int, float]:
    if trial.status == "ok" and trial.accuracy:
        return 0, -trial.accuracy.map50_95
    return (1, trial.drop.points) if trial.drop else (2, 0.0)
