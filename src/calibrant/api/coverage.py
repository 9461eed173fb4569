"""Whether a calibration set is any good: does it represent, how many are enough, and which ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibrant.api.arguments import Calibrators, PathLike, chosen_calibrators, new_run_folder, node_patterns
from calibrant.artifacts.store import output_folder
from calibrant.calibrators import DEFAULT_CALIBRATORS
from calibrant.core.progress import Progress, Silent
from calibrant.reports.files import accompany
from calibrant.studies.coverage.prepare import CoverageSettings, open_coverage_study
from calibrant.studies.coverage.result import CoverageResult
from calibrant.studies.coverage.run import run_coverage
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import AUTO


def coverage(
    model: PathLike,
    calib: PathLike,
    *,
    data: PathLike | None = None,
    pool: PathLike | None = None,
    out: PathLike | None = None,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    shuffles: int = 5,
    budget: float = 300.0,
    family: str = AUTO,
    limit: int | None = None,
    calib_limit: int | None = None,
    imgsz: int | None = None,
    skip_bad: bool = False,
    scheme: str = "tensorrt",
    keep_float: str | Sequence[str] = (),
    keep_head_float: bool = False,
    confidence: float = 0.001,
    iou: float = 0.65,
    seed: int = 0,
    progress: Progress | None = None,
) -> CoverageResult:
    """Examine a calibration set, and choose the smallest subset of a pool that covers it.

    The calibration set is compared with the test set ``data``, or with ``pool`` (a folder of images, a glob
    or a list file) where no labels are given; images are chosen from the pool, or from the calibration set
    where there is none. shuffles: random orders of the calibration set, from ``seed`` on. budget: seconds
    for measuring mAP, which needs ``data``; 0 measures none. Other arguments as for study.
    Writes coverage.json and selected.txt into ``out`` (default ``runs/<model>-coverage-<time>``), and the
    report again where that is a study's folder. Raises CalibrantError.
    """
    listener = progress or Silent()
    study = open_coverage_study(
        Path(model),
        str(calib),
        Path(data) if data is not None else None,
        str(pool) if pool is not None else None,
        chosen_calibrators(calibrators),
        CoverageSettings(
            StudySettings(
                scheme,
                keep_float=node_patterns(keep_float),
                keep_head_float=keep_head_float,
                confidence=confidence,
                iou=iou,
                imgsz=imgsz,
                seed=seed,
            ),
            shuffles,
            budget,
        ),
        family,
        (limit, calib_limit),
        skip_bad,
        listener,
    )
    with output_folder(
        Path(out) if out is not None else new_run_folder(f"{Path(model).stem}-coverage")
    ) as folder:
        result = run_coverage(study, folder, listener)
        accompany(folder, listener)
    return result
