"""Studies: run one, go on with one, compare several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from calibrant.api.optimization import go_on_optimizing
from calibrant.api.own_metrics import MetricArgument, own_metric
from calibrant.api.results import RankedStudy, ranked
from calibrant.artifacts.cache import Cache
from calibrant.artifacts.checksums import damaged_files
from calibrant.artifacts.store import occupied, output_folder
from calibrant.calibrators import DEFAULT_CALIBRATORS, NamedCalibrator, known_calibrators
from calibrant.core.clock import Clock
from calibrant.core.durations import seconds_of
from calibrant.core.errors import SettingsError
from calibrant.core.executor import Executor
from calibrant.core.progress import Progress, Silent
from calibrant.core.tasks import AUTO
from calibrant.core.user_folder import user_cache_folder
from calibrant.executors import executor_named
from calibrant.reports.files import accompany
from calibrant.reports.mlflow import MLflowLog, log_at, log_run
from calibrant.stages.recommend import SIMPLEST
from calibrant.studies.compare import Comparison, compare_runs
from calibrant.studies.diagnosis.of_run import SHARE_OF_STUDY, diagnose_after
from calibrant.studies.memory import allowed_bytes
from calibrant.studies.optimization.goal import GOAL
from calibrant.studies.optimization.result import OptimizationResult
from calibrant.studies.optimization.run import MEASUREMENTS
from calibrant.studies.pipelines.prepare import PipelineStudy, fitting_memory, open_to_run
from calibrant.studies.pipelines.run import run_pipeline
from calibrant.studies.recording import record_run
from calibrant.studies.replacing import place_for, require_free
from calibrant.studies.request import REQUEST, StudyRequest, kept_request, read_request
from calibrant.studies.run import Study, run_study
from calibrant.studies.run_files import read_as_written
from calibrant.studies.trust import require_word


@dataclass(frozen=True)
class ExecutionOptions:
    """How a study is made, which changes none of its figures; see study for what each means."""

    cache: bool = True
    diagnose_budget: float | None = None
    executor: Executor | None = None
    log: MLflowLog | None = None
    max_memory: str | None = None
    overwrite: bool = False


def study(
    model: PathLike,
    calib: PathLike | None = None,
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    task: str = AUTO,
    family: str = AUTO,
    limit: int | None = None,
    calib_limit: int | None = None,
    input_shape: Shape = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    scheme: str = "tensorrt",
    deploy: str | None = None,
    exclude: str | Sequence[str] = (),
    keep_head_float: bool = False,
    seed: int = 0,
    prefer: str = SIMPLEST,
    max_loss: float | None = None,
    metric: MetricArgument = None,
    race: bool = True,
    race_error: float = 0.01,
    cache: bool = True,
    diagnose_budget: float | str | None = None,
    executor: str | None = None,
    max_memory: str | None = None,
    mlflow: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> RankedStudy:
    """Measure the float model and one quantized candidate per calibrator, and recommend one.

    calib: calibration samples, data: the labelled test set, each in a form that the model's task reads
    (``calibrant tasks``). calib may be left out where the data set says what was trained on, as an
    Ultralytics data.yaml does: then it is the first 512 of that. task: what the model is for; "auto": as it
    is recognised. calibrators: names (``"minmax,percentile:99.9"``), functions of your own
    (TensorStatistics, QuantSpec) -> Range, or a mapping from names to such functions. deploy: "cache"
    predicts TensorRT's implicit INT8 from a calibration cache (scheme tensorrt-implicit), "qdq" and None what
    the scheme says. exclude: node
    names or patterns. input_shape: height and width, for a
    model that leaves them open, e.g. "48x320". options: the task's own, by name, as ``calibrant study
    --help`` shows them; for detection e.g. ``confidence``, ``iou`` and ``imgsz``. prefer: "simplest" or
    "best" of the candidates that are indistinguishable from the best. max_loss: what a recommended
    candidate may lose, in the metric's unit. metric: your own (see calibrant.metric), or where it is
    defined, "module:function"; None: the task's. race: stop candidates that are significantly worse;
    race_error: how often, at most, that may drop the eventual winner. cache: keep statistics and
    predictions in the user's cache folder, and use those there. diagnose_budget: seconds for saying why
    candidates lose (see diagnose); None: a fifth of the study's own time; 0: none. executor: who runs the
    models, ``local[:N]`` or ``ray[:address]``, with the same results; None: this process. max_memory: what
    this process may take, e.g. "4GB" or "50%"; None: 80 % of what the machine or its cgroup allows; as many
    runs are under way at once as fit, and a study that does not fit is refused before it begins. mlflow:
    the URI of an MLflow server or store (``sqlite:///FILE``) to log to as well. Writes study.json and each
    candidate's files into ``out`` (default ``runs/<model>-<time>``). overwrite:
    another finished run in ``out`` is replaced, when the new one is finished. Raises CalibrantError.
    """
    listener = progress or Silent()
    own = own_metric(metric)
    asked = {
        **options, "calibrators": calibrators, "task": task, "family": family, "limit": limit,
        "calib_limit": calib_limit, "skip_bad": skip_bad, "scheme": scheme, "deploy": deploy,
        "runtime": runtime, "exclude": exclude, "keep_head_float": keep_head_float,
        "input_shape": input_shape, "seed": seed, "prefer": prefer, "max_loss": max_loss, "race": race,
        "race_error": race_error, "metric": own,
    }  # fmt: skip
    request, chosen = study_request(model, calib, data, asked)
    if calib is None:
        listener.note(f"calibration samples: the first {request.calib_limit} of {request.calib} (--calib)")
    log, clock = log_at(mlflow), Clock()
    target = Path(out) if out is not None else new_run_folder(Path(model).stem)
    require_free(target, request, overwrite)
    with opened(executor) as workers:
        prepared = open_to_run(request.absolute() if workers else request, listener, chosen, own)
        how = ExecutionOptions(cache, _seconds(diagnose_budget), workers, log, max_memory, overwrite)
        return study_in(target, request, prepared, how, listener, clock)


def study_in(
    target: Path,
    request: StudyRequest,
    prepared: Study | PipelineStudy,
    how: ExecutionOptions,
    progress: Progress,
    clock: Clock | None = None,
) -> RankedStudy:
    """Run a study that was opened from ``request``, and leave all that belongs to a run in its folder.

    clock: runs since work on it began; None: it begins now.
    """
    clock = clock or Clock()
    require_free(target, request, how.overwrite)
    with output_folder(target) as folder:
        return _run(prepared, request, folder, how, clock, progress)


@contextmanager
def opened(executor: str | None) -> Iterator[Executor | None]:
    """The executor of this name while the work lasts. Raises SettingsError."""
    if executor is None:
        yield None
        return
    with executor_named(executor) as workers:
        yield workers


def resume(
    run: PathLike,
    *,
    runtime: str | None = None,
    calibrators: Calibrators | None = None,
    metric: MetricArgument = None,
    cache: bool = True,
    diagnose_budget: float | str | None = None,
    executor: str | None = None,
    max_memory: str | None = None,
    mlflow: str | None = None,
    progress: Progress | None = None,
) -> RankedStudy | OptimizationResult:
    """Go on with a study, or an optimization, that was cut off, in its folder, as it was begun.

    runtime, calibrators, metric: as the study was begun with, where they name a program or code, or
    are functions: a run's files, which may be anybody's, do not suffice for that.
    What the user's cache folder kept of it is not computed again. Other arguments as for study.
    Raises CalibrantError, for a folder without a request, and where model or data are gone.
    """
    folder, listener, clock = Path(run), progress or Silent(), Clock()
    request, own = read_request(folder), chosen_calibrators(calibrators) if calibrators is not None else ()
    require_word(request, f"{folder / REQUEST}", runtime, own)
    _require_same(request, folder, runtime, own)
    log = log_at(mlflow)
    if (folder / MEASUREMENTS).is_dir() or (folder / GOAL).exists():
        with occupied(folder):
            return go_on_optimizing(folder, request, own, log, listener, own_metric(metric))
    with occupied(folder), opened(executor) as workers:
        if damaged := damaged_files(folder):
            listener.note(
                f"{len(damaged)} files of {folder} are damaged or missing, e.g. {damaged[0]!r}; "
                "they are made again"
            )
        chosen = known_calibrators(request.calibrators, own)
        prepared = open_to_run(request, listener, chosen, own_metric(metric))
        how = ExecutionOptions(cache, _seconds(diagnose_budget), workers, log, max_memory)
        return _run(prepared, request, folder, how, clock, listener)


def _require_same(
    request: StudyRequest, folder: Path, runtime: str | None, own: Sequence[NamedCalibrator]
) -> None:
    """Refuse other settings than the run was begun with."""
    if runtime not in (None, request.settings.runtime):
        raise SettingsError(
            f"{folder} was begun with --runtime {request.settings.runtime}; say that, or give study "
            "another --out"
        )
    strange = [calibrator.name for calibrator in own if calibrator.name not in request.calibrators]
    if strange:
        raise SettingsError(f"{folder} was begun without calibrator {strange[0]}; give study another --out")


def _run(
    prepared: Study | PipelineStudy,
    request: StudyRequest,
    folder: Path,
    how: ExecutionOptions,
    clock: Clock,
    progress: Progress,
) -> RankedStudy:
    kept = results_cache(progress) if how.cache else None
    allowed = allowed_bytes(how.max_memory)
    try:
        with place_for(folder) as place, kept_request(place, request):
            fitting = fitting_memory(prepared, allowed, progress)
            if isinstance(fitting, PipelineStudy):
                result = run_pipeline(fitting, place, progress, kept, how.executor)
            else:
                result = run_study(fitting, place, progress, kept, how.executor)
    except KeyboardInterrupt:
        way = f"calibrant resume {folder}" if (folder / REQUEST).is_file() else "the same command"
        progress.note(f"{way} goes on from what was measured")
        raise
    result = replace(result, out=str(folder))
    budget = SHARE_OF_STUDY * clock.spent if how.diagnose_budget is None else how.diagnose_budget
    parts = prepared.studies if isinstance(prepared, PipelineStudy) else {}
    for part, study in parts.items():
        diagnose_after(study, folder / part, budget / len(parts), progress)
        accompany(folder / part, progress)
    if isinstance(prepared, Study):
        diagnose_after(prepared, folder, budget, progress)
    accompany(folder, progress)
    record_run(folder, progress)
    log_run(how.log, folder, progress)
    return ranked(result)


def results_cache(progress: Progress) -> Cache:
    """The cache of results that studies share, in the user's cache folder."""
    return Cache(user_cache_folder() / "results", note=progress.note)


def compare(
    runs: Sequence[PathLike], *, seed: int = 0, joint: int = 1, progress: Progress | None = None
) -> Comparison:
    """Compare finished studies of one model on the same data with the first of them.

    runs: folders that study wrote; they are recorded. joint: the number of differences, these and others that
    you read with them, whose intervals hold all at once at 95 % (Bonferroni); 1: each by itself. Raises
    DataError for runs that do not belong together.
    """
    folders = [Path(run) for run in runs]
    with read_as_written(folders[-1] if folders else Path()):
        found = compare_runs(folders, seed, joint)
    for folder in folders:
        record_run(folder, progress or Silent())
    return found


def _seconds(budget: float | str | None) -> float | None:
    return None if budget is None else seconds_of(budget, may_be_zero=True)
