"""What an optimization found, as values and as the versioned optimization.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.versions import read_versioned
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.core.metrics import Loss, Metric
from calibrant.core.short_repr import ShortRepr
from calibrant.studies.result import ModelSummary, ScoreValue
from calibrant.studies.schema_1 import FIRST_TASK, optimization_from_schema_1

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)


@dataclass(frozen=True)
class PartResult:
    """The metric's value on one part of the samples, and what is lost against the float model on the same."""

    value: float | None
    loss: Loss


@dataclass(frozen=True)
class Point:
    """A quantized model: what it is made of, how much of it is INT8, and what it loses.

    int8_share: of all multiply-accumulates, 0..1. agreement: with the float model's predictions on selecting
    samples, 0..1. expected, at_most: what it will lose on other samples by that, and at most (80 %).
    ``select`` was looked at while choosing and flatters; ``report`` was not. latency_ms: median
    of one sample on the measured runtime; None where it cannot tell.
    """

    name: str
    explanation: str
    recipe: Mapping[str, Any]
    int8_share: float
    agreement: float
    expected: float
    at_most: float
    select: PartResult
    report: PartResult | None
    latency_ms: float | None


@dataclass(frozen=True)
class Ablation:
    """What one technique brings: the chosen model without it, on the report samples.

    gain: what the technique brings there, with the 95 % interval.
    """

    technique: str
    value: float | None
    gain: Loss


@dataclass(frozen=True)
class OptimizationFiles:
    """Files to deploy, relative to the folder; None: there is no such file.

    ``qdq``: of a model of several files, the folder of its parts.
    ``cache`` belongs to ``float_model``, the float model after transforms.
    """

    qdq: str
    encodings: str | None
    recipe: str
    cache: str | None = None
    float_model: str | None = None


@dataclass(frozen=True, repr=False)
class OptimizationResult(ShortRepr):
    """A finished search. ``front`` is sorted by INT8 share, most first, and holds the chosen point.

    best_single: the best calibrator alone. gain_over_single: what is won over it on the report samples, with
    the 95 % interval. is_met: whether the chosen model keeps the target on the report samples.
    """

    out: str
    created: str
    model: ModelSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    select_samples: int
    report_samples: int
    calibration_samples: int
    max_loss: float
    metric: Metric
    float_select: ScoreValue
    float_report: ScoreValue
    float_latency_ms: float | None
    chosen: Point
    best_single: Point
    gain_over_single: Loss
    front: tuple[Point, ...]
    ablation: tuple[Ablation, ...]
    files: OptimizationFiles
    models_measured: int
    seconds: float
    was_interrupted: bool
    warnings: tuple[str, ...] = ()
    task: str = FIRST_TASK
    advice: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether the chosen model loses no more than it may, on the report samples."""
        return self.chosen.report is not None and self.chosen.report.loss.value <= self.max_loss

    @property
    def is_single(self) -> bool:
        """Whether nothing better was found than a calibrator alone."""
        return self.chosen.recipe == self.best_single.recipe

    @property
    def gain_in_words(self) -> str:
        """What the search won over the best calibrator alone, or that the budget bought nothing."""
        single, gain = self.best_single.recipe.get("calibrator", "calibrator"), self.gain_over_single
        if self.is_single:
            models = f"{self.models_measured} measured model{'s' if self.models_measured != 1 else ''}"
            return (
                f"The budget bought nothing: after {self.seconds:.0f} s and {models}, nothing is better than "
                f"{single} alone; a longer --budget may find something."
            )
        amount = f"{self.metric.amount(abs(gain.value))} (95 % interval {gain.interval(self.metric)})"
        verb = "worse" if gain.value < 0 else "better"
        said = f"It is {amount} {verb} than the best calibrator alone, {single}"
        if gain.is_real:
            return f"{said}."
        return f"{said}, which is no real difference: the budget bought nothing that these samples can show."

    def to_dict(self) -> dict[str, Any]:
        """The result as optimization.json holds it; JSON types only."""
        content = asdict(self)
        content["model"]["kept_float"] = list(self.model.kept_float)
        return {
            "schema_version": SCHEMA_VERSION,
            "units": f"scores and losses: {self.metric.unit or 'as they are'}; shares: 0..1",
            "is_met": self.is_met,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in content.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], out: str | Path) -> OptimizationResult:
        """A search from what optimization.json holds, of schema 1 or 2.

        Raises KeyError or TypeError otherwise.
        """
        if content["schema_version"] == 1:
            content = optimization_from_schema_1(content)
        return built(cls, {**content, "out": str(content.get("out", out))})


def read_optimization(path: Path) -> OptimizationResult:
    """Read optimization.json. Raises DataError when it is missing, damaged or of another version."""
    content = read_versioned(path, READABLE, "optimize again")
    try:
        return OptimizationResult.from_dict(content, path.parent)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no optimization: {error}; optimize again") from error
