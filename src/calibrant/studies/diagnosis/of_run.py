"""Diagnosing a run's folder: read, open again, diagnose, write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibrant.artifacts.store import remove
from calibrant.core.errors import CalibrantError, DataError
from calibrant.core.own_metric import OwnMetric
from calibrant.core.progress import Progress
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.diagnosis.case import case_of
from calibrant.studies.diagnosis.files import DIAGNOSIS, write_diagnosis
from calibrant.studies.diagnosis.result import Diagnosis
from calibrant.studies.diagnosis.run import diagnose
from calibrant.studies.request import open_study
from calibrant.studies.run import Study
from calibrant.studies.run_files import read_as_written
from calibrant.studies.runs import Run, load_run

SHARE_OF_STUDY = 0.2
"""Share of a study's own time that its diagnosis may take when nothing else is asked for."""


def diagnose_run(
    folder: Path,
    progress: Progress,
    losing: str | None = None,
    winning: str | None = None,
    budget: float | None = None,
    study: Study | None = None,
    metric: OwnMetric | None = None,
) -> Diagnosis:
    """Diagnose the study in ``folder`` and write diagnosis.json beside it.

    losing: the candidate to explain, winning: the one to compare it with; None: the recommended one. budget:
    seconds; None: no limit. study: the one that has just run, else it is opened again from its request.
    metric: the user's own that the run was made with.
    Raises CalibrantError.
    """
    run = load_run(folder)
    opened = study or _opened(run, progress, metric)
    with read_as_written(folder):
        known = {name: run.encodings(name) for name in run.names[1:]}
        encodings = {name: of_tensors for name, of_tensors in known.items() if of_tensors is not None}
        statistics = run.statistics()
        opened = replace(opened, plan=opened.plan.observed(statistics.tensors))
        case = case_of(opened, statistics, encodings, run.result, losing, winning)
    found = diagnose(case, folder, budget, progress)
    write_diagnosis(found, folder)
    return found


def diagnose_after(study: Study, folder: Path, budget: float, progress: Progress) -> None:
    """Diagnose a study that has just run, within ``budget`` seconds (0: not at all); what fails is a remark.

    A diagnosis of an earlier study in the same folder is gone in any case.
    """
    remove(folder / DIAGNOSIS)
    if budget <= 0:
        return
    try:
        diagnose_run(folder, progress, budget=budget, study=study)
    except Exception as error:  # the study is done and stands, whatever becomes of its diagnosis
        words = str(error) if isinstance(error, CalibrantError) else f"{type(error).__name__}: {error}"
        progress.note(f"no diagnosis was made: {words}")


def _opened(run: Run, progress: Progress, metric: OwnMetric | None) -> Study:
    """The run's study, on the reference runtime: what is diagnosed needs no other."""
    # No calibrator is asked again, so that functions of the user's are not missed.
    study = open_study(
        run.request(), progress, calibrators=(), runtime=runtime_named(REFERENCE), metric=metric
    )
    if study.plan.model.sha256 != run.result.model.sha256:
        raise DataError(
            f"{study.plan.model.path} is no longer the model of {run.folder}; put that back, or run the "
            "study again"
        )
    return study
