"""Why candidates lose: a finished study diagnosed."""

from __future__ import annotations

from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.core.progress import Progress, Silent
from calibrant.reports.files import accompany
from calibrant.studies.diagnosis.of_run import diagnose_run
from calibrant.studies.diagnosis.result import Diagnosis


def diagnose(
    run: PathLike,
    *,
    losing: str | None = None,
    winning: str | None = None,
    budget: float | None = 300.0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Say which tensors, layers and images cost a study's candidates their accuracy, and what helps.

    run: the folder that study wrote; its model and images have to be where they were. losing, winning:
    calibrators to hold against each other (default: the worst and the recommended one). budget: seconds, the
    cheapest evidence first; None: no limit. Writes diagnosis.json into the folder, and its report again.
    Raises CalibrantError.
    """
    listener = progress or Silent()
    found = diagnose_run(Path(run), listener, losing, winning, budget)
    accompany(Path(run), listener)
    return found
