"""What commands would do and take: nothing is run but a few samples, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibrant.api.arguments import PathLike, new_run_folder, study_request
from calibrant.api.calibration_coverage import opened_coverages
from calibrant.api.optimization import optimization_folder, optimization_request
from calibrant.api.own_metrics import own_metric
from calibrant.api.sweeps import plan_sweep, runs_of
from calibrant.core.durations import seconds_of
from calibrant.core.errors import CalibrantError
from calibrant.core.progress import Progress, Silent
from calibrant.studies.estimate import (
    Estimate,
    coverage_estimate,
    optimization_estimate,
    study_estimate,
    total_estimate,
)
from calibrant.studies.memory import allowed_bytes
from calibrant.studies.pipelines.estimate import pipeline_estimate, pipeline_optimization_estimate
from calibrant.studies.pipelines.prepare import PipelineStudy, fitting_memory, open_to_run
from calibrant.studies.replacing import require_free
from calibrant.studies.run import Study

# Arguments of study and optimize that change nothing of what has to be done.
_HOW = ("executor", "mlflow", "overwrite")
_GOAL = ("max_loss", "max_drop", "least_int8", "fold_only")


def plan_study(
    model: PathLike,
    calib: PathLike | None = None,
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    cache: bool = True,
    diagnose_budget: float | None = None,
    max_memory: str | None = None,
    progress: Progress | None = None,
    **arguments: Any,
) -> Estimate:
    """What ``study`` with these arguments would do, and the time, memory and disk that it would take.

    Everything that study checks before it begins is checked here. Raises CalibrantError as study does.
    """
    listener = progress or Silent()
    overwrite = bool(arguments.get("overwrite"))
    asked = {name: value for name, value in arguments.items() if name not in _HOW}
    own = asked["metric"] = own_metric(asked.get("metric"))
    request, chosen = study_request(model, calib, data, asked)
    target = Path(out) if out is not None else new_run_folder(Path(model).stem)
    require_free(target, request, overwrite)
    study = open_to_run(request, listener, chosen, own, is_dry=True)
    fitting = fitting_memory(study, allowed_bytes(max_memory), listener)
    return _study_estimate(fitting, str(target), diagnose_budget, cache)


def _study_estimate(
    study: Study | PipelineStudy, out: str, diagnosis: float | None, cached: bool
) -> Estimate:
    if isinstance(study, PipelineStudy):
        return pipeline_estimate(study, out, diagnosis, cached=cached)
    return study_estimate(study, out, diagnosis, cached=cached)


def plan_optimization(
    model: PathLike,
    calib: PathLike | None = None,
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    budget: str = "10m",
    progress: Progress | None = None,
    **arguments: Any,
) -> Estimate:
    """As plan_study, of ``optimize``."""
    asked = {name: value for name, value in arguments.items() if name not in (*_HOW, *_GOAL)}
    own = asked["metric"] = own_metric(asked.get("metric"))
    request, chosen = optimization_request(model, calib, data, asked)
    target = optimization_folder(request, out)
    require_free(target, request, bool(arguments.get("overwrite")))
    study = open_to_run(request, progress or Silent(), chosen, own, is_dry=True)
    if isinstance(study, PipelineStudy):
        return pipeline_optimization_estimate(study, str(target), seconds_of(budget))
    return optimization_estimate(study, str(target), seconds_of(budget))


def plan_coverage(
    model: PathLike,
    calib: PathLike,
    *,
    data: PathLike | None = None,
    pool: PathLike | None = None,
    out: PathLike | None = None,
    shuffles: int = 5,
    budget: float | str = 300.0,
    progress: Progress | None = None,
    **arguments: Any,
) -> Estimate:
    """As plan_study, of ``coverage``."""
    listener = progress or Silent()
    studies = opened_coverages(model, calib, data, pool, shuffles, budget, arguments, listener)
    target = Path(out) if out is not None else new_run_folder(f"{Path(model).stem}-coverage")
    found = {part: coverage_estimate(study, str(target / part)) for part, study in studies.items()}
    return found[""] if set(found) == {""} else total_estimate(found.values(), str(target))


def estimate_sweep(
    file: PathLike,
    *,
    out: PathLike | None = None,
    trust: PathLike | None = None,
    cache: bool = True,
    diagnose_budget: float | None = 0.0,
    progress: Progress | None = None,
) -> Estimate:
    """As plan_study, of the runs that a ``sweep`` still has to do."""
    listener = progress or Silent()
    to_do = {row.run for row in plan_sweep(file, out=out, trust=trust) if row.recommended is None}
    folder, runs = runs_of(file, out, trust)
    parts, failing = [], []
    for run in runs:
        if run.name not in to_do:
            continue
        place = str(folder / run.name)
        try:
            study = open_to_run(run.request, listener, is_dry=True)
            parts.append(_study_estimate(study, place, diagnose_budget, cache))
        except CalibrantError as error:  # a row of its own, as in the sweep itself
            failing.append(f"{place} would fail: {error}")
    return total_estimate(parts, str(folder), failing)
