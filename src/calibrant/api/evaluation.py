"""One model's score on a labelled test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.api.arguments import PathLike, Shape, settings_of
from calibrant.api.own_metrics import MetricArgument, own_metric
from calibrant.core.metrics import Metric
from calibrant.core.own_metric import ScoredBy
from calibrant.core.progress import Progress, Silent
from calibrant.core.short_repr import ShortRepr
from calibrant.core.tasks import AUTO, Reading
from calibrant.core.types import Latency
from calibrant.models.onnx.points import has_qdq
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.evaluate import evaluate as evaluate_stage
from calibrant.stages.evaluate import require_readable
from calibrant.studies.prepare import open_model, referring, runnable_file
from calibrant.studies.remarks import on_score
from calibrant.studies.result import ScoreValue, figures_of


@dataclass(frozen=True, repr=False)
class EvaluationResult(ShortRepr):
    """A model's score and what else its task tells, as shown in the metric's unit; None where undefined."""

    model: str
    task: str
    family: str
    metric: Metric
    samples: int
    seconds: float
    score: ScoreValue
    figures: Mapping[str, float | None]
    latency: Latency | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; the figures stand beside the rest by name, the metric's among them."""
        rest = asdict(self)
        return {**rest, self.score.metric: self.score.value, **self.figures}


def evaluate(
    model: PathLike,
    data: PathLike,
    *,
    task: str = AUTO,
    family: str = AUTO,
    limit: int | None = None,
    input_shape: Shape = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    metric: MetricArgument = None,
    progress: Progress | None = None,
    **options: Any,
) -> EvaluationResult:
    """Score any float or Q/DQ model on a labelled test set. Arguments as for study.

    Raises CalibrantError.
    """
    listener = progress or Silent()
    settings = settings_of(options, runtime=runtime, input_shape=input_shape)
    engine = runtime_named(runtime, listener)
    opened = open_model(Path(model), task, family, settings.input_shape, settings.options)
    test = opened.test_set(str(data), Reading(limit, skip_bad))
    for warning in test.warnings:
        listener.note(warning)
    bound, own = opened.task(test), own_metric(metric)
    if own is not None:
        bound = ScoredBy(bound, own)
    if bound.needs_reference and not has_qdq(opened.model):
        bound = referring(opened, bound, test.samples, engine)
    with runnable_file(opened.model) as file:
        is_float = not has_qdq(opened.model)
        if is_float or engine.name != REFERENCE:
            require_readable(runtime_named(REFERENCE), file, bound, test.samples, is_float)
        found = evaluate_stage(lambda: engine.open(file), bound, test.samples, "Evaluating", listener)
    for remark in on_score(found.score, opened.recognition.family):
        listener.note(remark)
    return EvaluationResult(
        model=str(model),
        task=bound.name,
        family=opened.recognition.family,
        metric=bound.metric,
        samples=len(test.samples),
        seconds=round(found.seconds, 3),
        score=ScoreValue.of(found.score),
        figures=figures_of(found.score),
        latency=found.latency,
    )
