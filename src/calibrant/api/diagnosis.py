"""What a candidate of a finished study loses, and why."""

from __future__ import annotations

from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.api.own_metrics import MetricArgument, own_metric
from calibrant.core.durations import seconds_of
from calibrant.core.progress import Progress, Silent
from calibrant.reports.files import accompany
from calibrant.studies.diagnosis.of_run import diagnose_run
from calibrant.studies.diagnosis.result import Diagnosis
from calibrant.studies.pipelines.diagnosing import diagnosed_part


def diagnose(
    run: PathLike,
    *,
    losing: str | None = None,
    winning: str | None = None,
    budget: float | str | None = 300.0,
    metric: MetricArgument = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Explain what a candidate of a study loses: which tensors, layers and samples, and what helps.

    run: the folder that study wrote; its model and samples have to be where they were.
    losing: the calibrator to explain; None: the recommended one, against FP32.
    winning: the calibrator to compare it with; None: the recommended one.
    budget: seconds, or text such as "90s" or "5m"; the cheapest evidence comes first. None: no limit.
    metric: your own that the study was made with.
    progress: what is told while it works; None: nothing.
    Of a study of several parts the part whose candidate is named is diagnosed ("decoder/minmax"), or else the
    one that costs most. Writes diagnosis.json into the folder (the part's), and its report again. Raises
    CalibrantError.
    """
    listener = progress or Silent()
    seconds = None if budget is None else seconds_of(budget)
    folder, losing, winning = diagnosed_part(Path(run), losing, winning, listener)
    found = diagnose_run(folder, listener, losing, winning, seconds, metric=own_metric(metric))
    accompany(folder, listener)
    return found
