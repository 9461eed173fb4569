"""Whether a calibration set is any good: does it represent, how many are enough, and which ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calibrant.api.arguments import (
    Calibrators,
    PathLike,
    Shape,
    new_run_folder,
    study_request,
)
from calibrant.artifacts.store import output_folder
from calibrant.calibrators import DEFAULT_CALIBRATORS
from calibrant.core.durations import seconds_of
from calibrant.core.progress import Progress, SayingOnce, Silent
from calibrant.core.tasks import AUTO
from calibrant.models.onnx.model_folders import model_folder
from calibrant.reports.files import accompany
from calibrant.studies.coverage.prepare import CoverageSettings, CoverageStudy, open_coverage_study
from calibrant.studies.coverage.result import CoverageResult
from calibrant.studies.coverage.run import run_coverage
from calibrant.studies.pipelines.coverage import PartsCoverage, open_parts_coverage, run_parts_coverage


def coverage(
    model: PathLike,
    calib: PathLike,
    *,
    data: PathLike | None = None,
    pool: PathLike | None = None,
    out: PathLike | None = None,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    shuffles: int = 5,
    budget: float | str = 300.0,
    task: str = AUTO,
    family: str = AUTO,
    limit: int | None = None,
    calib_limit: int | None = None,
    input_shape: Shape = None,
    skip_bad: bool = False,
    scheme: str = "tensorrt",
    exclude: str | Sequence[str] = (),
    keep_head_float: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> CoverageResult | PartsCoverage:
    """Examine a calibration set, and choose the smallest subset of a pool that covers it.

    The calibration set is compared with the test set ``data``, or with ``pool`` (a folder, a glob
    or a list file) where no labels are given; samples are chosen from the pool, or from the calibration set
    where there is none. shuffles: random orders of the calibration set, from ``seed`` on. budget: seconds
    for measuring scores, which needs ``data``; 0 measures none. Other arguments as for study.
    Writes coverage.json and selected.txt into ``out`` (default ``runs/<model>-coverage-<time>``), and the
    report again where that is a study's folder. Of a model of several files each part is examined, in a
    folder of its name, with an equal share of the budget. Raises CalibrantError.
    """
    listener = progress or Silent()
    asked = {
        **options, "calibrators": calibrators, "task": task, "family": family, "limit": limit,
        "calib_limit": calib_limit, "skip_bad": skip_bad, "scheme": scheme, "exclude": exclude,
        "keep_head_float": keep_head_float, "input_shape": input_shape, "seed": seed,
    }  # fmt: skip
    studies = opened_coverages(model, calib, data, pool, shuffles, budget, asked, listener)
    with output_folder(
        Path(out) if out is not None else new_run_folder(f"{Path(model).stem}-coverage")
    ) as folder:
        if set(studies) == {""}:
            result = run_coverage(studies[""], folder, listener)
            accompany(folder, listener)
            return result
        found = run_parts_coverage(studies, folder, listener)
        for part in found.parts:
            accompany(folder / part, listener)
    return found


def opened_coverages(
    model: PathLike,
    calib: PathLike,
    data: PathLike | None,
    pool: PathLike | None,
    shuffles: int,
    budget: float | str,
    arguments: Mapping[str, Any],
    progress: Progress,
) -> dict[str, CoverageStudy]:
    """What coverage is asked for, by part; "": of a model of one file. Raises CalibrantError."""
    folder = model_folder(Path(model))
    parts = folder.parts if folder is not None and len(folder.parts) > 1 else {"": Path(model)}
    seconds = seconds_of(budget, may_be_zero=True) / len(parts)

    def opened(part: str) -> CoverageStudy:
        return _opened(model, calib, data, pool, shuffles, seconds, arguments, notes, part)

    notes = SayingOnce(progress)
    return {"": opened("")} if "" in parts else open_parts_coverage(parts, opened, notes)


def _opened(
    model: PathLike,
    calib: PathLike,
    data: PathLike | None,
    pool: PathLike | None,
    shuffles: int,
    budget: float,
    arguments: Mapping[str, Any],
    progress: Progress,
    part: str,
) -> CoverageStudy:
    request, chosen = study_request(model, calib, data or "", arguments)
    return open_coverage_study(
        Path(model),
        str(calib),
        Path(data) if data is not None else None,
        str(pool) if pool is not None else None,
        chosen,
        CoverageSettings(request.settings, shuffles, budget),
        request.task,
        request.family,
        (request.limit, request.calib_limit),
        request.skip_bad,
        progress,
        part,
    )
