"""The best quantized model within a target, and models made again by a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calibrant.api.arguments import (
    Calibrators,
    PathLike,
    Shape,
    chosen_calibrators,
    new_run_folder,
    study_request,
)
from calibrant.api.own_metrics import MetricArgument, own_metric
from calibrant.artifacts.store import output_folder, write_json
from calibrant.calibrators import DEFAULT_CALIBRATORS, NamedCalibrator, known_calibrators
from calibrant.core.clock import Clock
from calibrant.core.durations import seconds_of
from calibrant.core.errors import SettingsError
from calibrant.core.metrics import Metric
from calibrant.core.own_metric import OwnMetric
from calibrant.core.progress import Progress, Silent
from calibrant.core.tasks import AUTO
from calibrant.models.onnx.model_folders import model_folder
from calibrant.reports.files import accompany
from calibrant.reports.mlflow import MLflowLog, log_at, log_run
from calibrant.studies.optimization.apply import MadeModel
from calibrant.studies.optimization.goal import read_goal
from calibrant.studies.optimization.result import OptimizationResult
from calibrant.studies.optimization.run import RESULT, run_optimization
from calibrant.studies.optimization.search import Goal
from calibrant.studies.pipelines.following import follow_recipes
from calibrant.studies.pipelines.optimizing import optimize_pipeline
from calibrant.studies.pipelines.prepare import PipelineStudy, open_to_run
from calibrant.studies.recording import record_run
from calibrant.studies.replacing import require_free
from calibrant.studies.request import REQUEST, StudyRequest, kept_request, read_request
from calibrant.studies.run import Study
from calibrant.studies.trust import require_word


def optimize(
    model: PathLike,
    calib: PathLike | None = None,
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    max_loss: float | None = None,
    budget: float | str = "10m",
    least_int8: float = 95.0,
    fold_only: bool = False,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    task: str = AUTO,
    family: str = AUTO,
    limit: int | None = None,
    calib_limit: int | None = None,
    input_shape: Shape = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    scheme: str = "tensorrt",
    exclude: str | Sequence[str] = (),
    keep_head_float: bool = False,
    seed: int = 0,
    mlflow: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    max_drop: float | None = None,
    metric: MetricArgument = None,
    **options: Any,
) -> OptimizationResult:
    """Find the quantized model that loses least, with as much as possible in INT8.

    model: an ONNX file, or a folder of a model's parts, with ``calib`` and ``data``, or a study's folder,
    whose model, data and settings are taken and other arguments here left alone, but for a ``runtime`` that
    names a program and ``calibrators`` of other packages: those have to be said again.
    max_loss: what may be lost, in the metric's unit; None: a hundredth of its scale, e.g. one point
    (max_drop is its other name). least_int8: percent of the multiply-accumulates that stay in INT8.
    fold_only: only what folds into weights and biases, so that no node is added between layers (on a GPU each
    is a pass over memory). budget: time to search, e.g. "10m". Models are chosen on a random half of the test
    samples and reported on the other. Writes optimization.json and the files to deploy into ``out``; the same
    call continues an interrupted one. A study's folder gets optimization.json too, and its report again. Of a
    model of several files each part is searched beside the others in float, in a folder of its name, and then
    put together. overwrite: ``out`` may hold another finished run.
    Other arguments as for study. Raises CalibrantError.
    """
    listener = progress or Silent()
    log = log_at(mlflow)
    seconds, share = seconds_of(budget), _share(least_int8)
    own = own_metric(metric)
    asked = {
        **options, "calibrators": calibrators, "task": task, "family": family, "limit": limit,
        "calib_limit": calib_limit, "skip_bad": skip_bad, "scheme": scheme, "runtime": runtime,
        "exclude": exclude, "keep_head_float": keep_head_float, "input_shape": input_shape, "seed": seed,
        "metric": own,
    }  # fmt: skip
    request, chosen = optimization_request(model, calib, data, asked)
    target = optimization_folder(request, out)
    require_free(target, request, overwrite)
    opened = open_to_run(request, listener, chosen, metric=own)
    goal = Goal(_allowed(max_loss, max_drop, opened.metric), share, seed, fold_only)
    with output_folder(target) as folder, kept_request(folder, request):
        result = _searched(opened, goal, Clock(seconds), folder, log, listener)
    if _is_run(model):
        write_json(Path(model) / RESULT, result.to_dict())
        accompany(Path(model), listener)
    return result


def _searched(
    opened: Study | PipelineStudy,
    goal: Goal,
    budget: Clock,
    folder: Path,
    log: MLflowLog | None,
    progress: Progress,
) -> OptimizationResult:
    """Search in a folder, and leave there all that belongs to a run."""
    if isinstance(opened, PipelineStudy):
        try:
            result = optimize_pipeline(opened, goal, budget, folder, progress)
        except KeyboardInterrupt:
            progress.note(f"calibrant resume {folder} goes on from what was measured")
            raise
        for part in opened.studies:
            accompany(folder / part, progress)
    else:
        result = run_optimization(opened, goal, budget, folder, progress)
    record_run(folder, progress)
    log_run(log, folder, progress)
    return result


def _is_run(model: PathLike) -> bool:
    """Whether it is a study's folder, and no folder of a model's parts."""
    path = Path(model)
    return path.is_dir() and ((path / REQUEST).is_file() or model_folder(path) is None)


def optimization_request(
    model: PathLike, calib: PathLike | None, data: PathLike | None, arguments: Mapping[str, Any]
) -> tuple[StudyRequest, tuple[NamedCalibrator, ...]]:
    """What is to be optimized: a model, or what a study's folder says. arguments: as for study_request.

    Raises SettingsError, and DataError for a folder without a request.
    """
    if _is_run(model):
        request = read_request(Path(model))
        chosen = chosen_calibrators(arguments.get("calibrators", DEFAULT_CALIBRATORS))
        require_word(request, f"{Path(model) / REQUEST}", arguments.get("runtime"), chosen)
        return request, known_calibrators(request.calibrators, chosen)
    if data is None:
        raise SettingsError("a model needs --calib and --data; only a study's folder knows them")
    return study_request(model, calib, data, arguments)


def optimization_folder(request: StudyRequest, out: PathLike | None) -> Path:
    """Where an optimization writes."""
    return Path(out) if out is not None else new_run_folder(f"{Path(request.model).stem}-optimized")


def go_on_optimizing(
    folder: Path,
    request: StudyRequest,
    chosen: Sequence[NamedCalibrator],
    log: MLflowLog | None,
    progress: Progress,
    metric: OwnMetric | None = None,
) -> OptimizationResult:
    """Search on in a folder of optimize's, with the goal and the budget that it was begun with.

    What was measured is not measured again, but for what is damaged. Raises CalibrantError.
    """
    asked = read_goal(folder)
    opened = open_to_run(request, progress, known_calibrators(request.calibrators, chosen), metric=metric)
    return _searched(opened, asked.goal, Clock(asked.seconds, before=asked.spent), folder, log, progress)


def apply_recipe(
    model: PathLike,
    calib: PathLike,
    recipe: PathLike,
    out: PathLike,
    *,
    task: str = AUTO,
    family: str = AUTO,
    calib_limit: int | None = None,
    skip_bad: bool = False,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    progress: Progress | None = None,
    **options: Any,
) -> MadeModel:
    """Make the model of a recipe again, without searching and without labels; write its files into ``out``.

    The same model and calibration samples give the same files; others are told of, and followed as far as
    their names go. Raises CalibrantError.
    """
    with output_folder(Path(out)) as folder:
        return follow_recipes(
            Path(model),
            str(calib),
            Path(recipe),
            folder,
            task=task,
            family=family,
            options=options,
            calib_limit=calib_limit,
            skip_bad=skip_bad,
            calibrators=chosen_calibrators(calibrators),
            progress=progress or Silent(),
        )


def _allowed(max_loss: float | None, max_drop: float | None, metric: Metric) -> float:
    """What may be lost, in the metric's unit. Raises SettingsError for less than nothing."""
    given = max_loss if max_loss is not None else max_drop
    allowed = metric.scale / 100 if given is None else given
    if not allowed >= 0:
        raise SettingsError(f"a loss of {allowed} cannot be allowed; use 0 or more")
    return allowed


def _share(percent: float) -> float:
    if not 0 <= percent <= 100:
        raise SettingsError(f"{percent:g} % in INT8 means nothing; give 0 to 100, e.g. 95")
    return percent / 100
