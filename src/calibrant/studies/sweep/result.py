"""What a sweep found: a row for each run, and what they say about each calibrator together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError, ModelError
from calibrant.core.metrics import Loss, Metric
from calibrant.core.short_repr import ShortRepr
from calibrant.models.onnx.model import model_sha256
from calibrant.studies.request import REQUEST
from calibrant.studies.result import StudyResult, rounded_loss
from calibrant.studies.runs import load_run
from calibrant.studies.sweep.plan import SweepRun

SWEEP = "sweep.json"
SCHEMA_VERSION = 2
OK, FAILED, WAITING = "ok", "failed", "waiting"


@dataclass(frozen=True)
class SweptTrial:
    """One calibrator of one run; None where it was not measured.

    ``loss`` is against the float model. ``status`` is "ok", "stopped" (significantly worse on fewer
    samples) or "failed".
    """

    calibrator: str
    status: str
    value: float | None
    loss: Loss | None


@dataclass(frozen=True)
class Row:
    """One run: where it stands on each axis, and what came of it. ``reason`` says why it failed.

    ``recommended`` is the calibrator to deploy, ``tied`` those that are indistinguishable from the best;
    ``metric`` is what it was measured by.
    """

    run: str
    model: str
    dataset: str
    scheme: str
    runtime: str
    status: str = WAITING
    reason: str | None = None
    fp32: float | None = None
    recommended: str | None = None
    tied: tuple[str, ...] = ()
    metric: Metric | None = None
    measurements: tuple[SweptTrial, ...] = ()

    @property
    def chosen(self) -> SweptTrial | None:
        """The recommended calibrator's measurement."""
        return self.of(self.recommended) if self.recommended else None

    def of(self, calibrator: str) -> SweptTrial | None:
        """A calibrator's measurement; None where there is none."""
        return next((found for found in self.measurements if found.calibrator == calibrator), None)


@dataclass(frozen=True)
class CalibratorSummary:
    """A calibrator over all runs in which it was studied.

    ``recommended`` and ``tied`` count runs, ``stopped`` those in which it was stopped early; the losses
    are over the runs in which it has one, early ones included. ``metric``: of all runs; where they have
    several, a summary is made for each.
    """

    calibrator: str
    metric: Metric
    runs: int
    recommended: int
    tied: int
    stopped: int
    failed: int
    median_loss: float | None
    worst_loss: float | None
    worst_run: str | None


@dataclass(frozen=True, repr=False)
class SweepResult(ShortRepr):
    """A sweep. ``out`` is its folder, which holds a folder for each run and sweep.json."""

    out: str
    source: str
    created: str
    rows: tuple[Row, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Row, ...]:
        """The runs that came to nothing."""
        return tuple(row for row in self.rows if row.status == FAILED)

    @property
    def calibrators(self) -> tuple[CalibratorSummary, ...]:
        """What all runs say together, in the study's order."""
        kinds = dict.fromkeys(
            (found.calibrator, row.metric) for row in self.rows for found in row.measurements if row.metric
        )
        return tuple(
            _summary(name, metric, [row for row in self.rows if row.metric == metric])
            for name, metric in kinds
        )

    def to_dict(self) -> dict[str, Any]:
        """The sweep as sweep.json holds it; JSON types only."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "units": "scores and losses are in the unit of each run's metric",
            "source": self.source,
            "seconds": self.seconds,
            "runs": [_plain(asdict(row)) for row in self.rows],
            "calibrators": [asdict(summary) for summary in self.calibrators],
        }


def waiting(run: SweepRun) -> Row:
    """The row of a run that is still to do."""
    return Row(run.name, run.model, run.dataset, run.scheme, run.runtime)


def failed(run: SweepRun, reason: str) -> Row:
    """The row of a run that came to nothing."""
    return replace(waiting(run), status=FAILED, reason=reason)


def finished(run: SweepRun, folder: Path) -> Row | None:
    """The row of a run whose folder holds its result; None where it is to be done (again).

    It must be of this request and of the model as it is now, and have come to a recommendation.
    """
    try:
        request, study = read_json(folder / REQUEST), load_run(folder).result
        is_same = request == run.request.to_dict()
        if not is_same or study.model.sha256 != model_sha256(Path(run.request.model)):
            return None
        row = row_of(run, study)
    except (DataError, ModelError, KeyError, TypeError):
        return None
    return row if row.status == OK else None


def lost_from(folder: Path, runs: Sequence[SweepRun]) -> list[str]:
    """Runs of the table that the folder holds which a table of these runs would not have."""
    try:
        held = [str(row["run"]) for row in read_json(folder / SWEEP)["runs"]]
    except (DataError, LookupError, TypeError):
        return []
    names = {run.name for run in runs}
    return [name for name in held if name not in names]


def row_of(run: SweepRun, study: StudyResult) -> Row:
    """The row of a run with this result."""
    chosen = study.recommended
    reasons = [study.unrecommended, *(trial.reason for trial in study.trials)]
    return replace(
        waiting(run),
        status=OK if chosen else FAILED,
        reason=None if chosen else f"no candidate can be recommended: {next(filter(None, reasons), 'none')}",
        fp32=study.baseline.score.value,
        recommended=chosen.calibrator if chosen else None,
        tied=chosen.tied if chosen else (),
        metric=study.metric,
        measurements=tuple(
            SweptTrial(trial.calibrator, trial.status, trial.value, _rounded(trial.loss, study.metric))
            for trial in study.trials
        ),
    )


def _rounded(lost: Loss | None, metric: Metric) -> Loss | None:
    return None if lost is None else rounded_loss(lost, metric)


def _summary(calibrator: str, metric: Metric, rows: Sequence[Row]) -> CalibratorSummary:
    own = [(row, found) for row in rows if (found := row.of(calibrator)) is not None]
    losses = sorted(_losses(own))
    return CalibratorSummary(
        calibrator,
        metric,
        runs=len(own),
        recommended=sum(row.recommended == calibrator for row, _ in own),
        tied=sum(calibrator in row.tied for row, _ in own),
        stopped=sum(found.status == "stopped" for _, found in own),
        failed=sum(found.status == "failed" for _, found in own),
        median_loss=metric.rounded(median(lost for lost, _ in losses)) if losses else None,
        worst_loss=losses[-1][0] if losses else None,
        worst_run=losses[-1][1] if losses else None,
    )


def _losses(own: Sequence[tuple[Row, SweptTrial]]) -> Iterator[tuple[float, str]]:
    for row, found in own:
        if found.loss is not None:
            yield found.loss.value, row.run


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
