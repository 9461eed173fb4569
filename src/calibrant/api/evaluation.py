"""One model's score on a labelled test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.api.arguments import PathLike
from calibrant.core.progress import Progress, Silent
from calibrant.core.types import Latency
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.evaluate import evaluate as evaluate_stage
from calibrant.stages.evaluate import require_readable
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import AUTO, detection_task, open_detector, open_test_set, runnable_file
from calibrant.studies.remarks import on_score
from calibrant.studies.result import points_of


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
        if engine.name != REFERENCE:
            require_readable(runtime_named(REFERENCE), file, task, test.samples)
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
