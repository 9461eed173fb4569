"""What a sweep found: a row for each run, and what they say about each calibrator together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError, ModelError
from calibrant.graph.model import model_sha256
from calibrant.studies.request import REQUEST
from calibrant.studies.run import RESULT
from calibrant.studies.sweep.plan import SweepRun

SWEEP = "sweep.json"
SCHEMA_VERSION = 1
OK, FAILED, WAITING = "ok", "failed", "waiting"


@dataclass(frozen=True)
class Measurement:
    """One calibrator of one run, in mAP points; None where it was not measured.

    ``drop`` and its 95 % interval are against the float model. ``status`` is "ok", "stopped" (beaten beyond
    doubt on fewer images) or "failed".
    """

    calibrator: str
    status: str
    map50_95: float | None
    drop: float | None
    drop_ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """One run: where it stands on each axis, and what came of it. ``reason`` says why it failed.

    ``recommended`` is the calibrator to deploy, ``tied`` those that cannot be told from the best.
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
    measurements: tuple[Measurement, ...] = ()

    @property
    def chosen(self) -> Measurement | None:
        """The recommended calibrator's measurement."""
        return self.of(self.recommended) if self.recommended else None

    def of(self, calibrator: str) -> Measurement | None:
        """A calibrator's measurement; None where there is none."""
        return next((found for found in self.measurements if found.calibrator == calibrator), None)


@dataclass(frozen=True)
class CalibratorSummary:
    """A calibrator over all runs in which it was studied.

    ``recommended`` and ``tied`` count runs, ``stopped`` those in which it was beaten early; the drops are
    points, over the runs in which it has one, early ones included.
    """

    calibrator: str
    runs: int
    recommended: int
    tied: int
    stopped: int
    failed: int
    median_drop: float | None
    worst_drop: float | None
    worst_run: str | None


@dataclass(frozen=True)
class SweepResult:
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
        names = dict.fromkeys(found.calibrator for row in self.rows for found in row.measurements)
        return tuple(_summary(name, self.rows) for name in names)

    def to_dict(self) -> dict[str, Any]:
        """The sweep as sweep.json holds it; JSON types only."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "units": "mAP figures and drops are points, 0..100",
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
        request, study = read_json(folder / REQUEST), read_json(folder / RESULT)
        is_same = request == run.request.to_dict()
        if not is_same or study["model"]["sha256"] != model_sha256(Path(run.request.model)):
            return None
        row = row_of(run, study)
    except (DataError, ModelError, KeyError, TypeError):
        return None
    return row if row.status == OK else None


def row_of(run: SweepRun, study: Mapping[str, Any]) -> Row:
    """The row of a run with this study.json. Raises KeyError or TypeError for anything else."""
    chosen = study["recommended"]
    measurements = tuple(_measurement(trial) for trial in study["trials"])
    reasons = [trial["reason"] for trial in study["trials"] if trial["reason"]]
    return replace(
        waiting(run),
        status=OK if chosen else FAILED,
        reason=None if chosen else f"no candidate could be measured: {reasons[0] if reasons else 'none'}",
        fp32=study["baseline"]["map50_95"],
        recommended=chosen["calibrator"] if chosen else None,
        tied=tuple(chosen["tied"]) if chosen else (),
        measurements=measurements,
    )


def _measurement(trial: Mapping[str, Any]) -> Measurement:
    interval = trial["drop_ci95"]
    return Measurement(
        trial["calibrator"],
        trial["status"],
        trial["map50_95"] if trial["status"] == OK else None,
        trial["drop"],
        (interval[0], interval[1]) if interval else None,
    )


def _summary(calibrator: str, rows: Sequence[Row]) -> CalibratorSummary:
    own = [(row, found) for row in rows if (found := row.of(calibrator)) is not None]
    drops = sorted(_drops(own))
    return CalibratorSummary(
        calibrator,
        runs=len(own),
        recommended=sum(row.recommended == calibrator for row, _ in own),
        tied=sum(calibrator in row.tied for row, _ in own),
        stopped=sum(found.status == "stopped" for _, found in own),
        failed=sum(found.status == "failed" for _, found in own),
        median_drop=round(median(drop for drop, _ in drops), 4) if drops else None,
        worst_drop=drops[-1][0] if drops else None,
        worst_run=drops[-1][1] if drops else None,
    )


def _drops(own: Sequence[tuple[Row, Measurement]]) -> Iterator[tuple[float, str]]:
    for row, found in own:
        if found.drop is not None:
            yield found.drop, row.run


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
