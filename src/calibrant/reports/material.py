"""Everything that a report can tell of a run: study.json and the files that other commands put beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError
from calibrant.core.types import Encoding, Statistics
from calibrant.studies.diagnosis.files import DIAGNOSIS, read_diagnosis
from calibrant.studies.diagnosis.result import Diagnosis
from calibrant.studies.request import REQUEST, StudyRequest
from calibrant.studies.run import STATISTICS
from calibrant.studies.runs import Run, load_run

COVERAGE, OPTIMIZATION = "coverage.json", "optimization.json"
REPORT = "report.html"
_READABLE = 1
"""The schema version of both."""


@dataclass(frozen=True)
class Material:
    """A run with what is known of it; None or empty where the file is not there.

    ``encodings`` are the activations' by calibrator.
    """

    run: Run
    diagnosis: Diagnosis | None = None
    coverage: Mapping[str, Any] | None = None
    optimization: Mapping[str, Any] | None = None
    statistics: Statistics | None = None
    encodings: Mapping[str, Mapping[str, Encoding]] | None = None
    request: StudyRequest | None = None

    @property
    def study(self) -> Mapping[str, Any]:
        """study.json."""
        return self.run.content

    @property
    def model_name(self) -> str:
        """The model's file name."""
        return Path(self.study["model"]["path"]).name

    @cached_property
    def measured(self) -> tuple[Mapping[str, Any], ...]:
        """The candidates with a score over all test images, best first; equals in the study's order."""
        return tuple(sorted(self._with_status("ok"), key=lambda trial: -trial["map50_95"]))

    @cached_property
    def stopped(self) -> tuple[Mapping[str, Any], ...]:
        """The candidates that were beaten beyond doubt on fewer images, least drop first."""
        return tuple(sorted(self._with_status("stopped"), key=lambda trial: trial["drop"]))

    @property
    def failed(self) -> tuple[Mapping[str, Any], ...]:
        """The candidates without a score."""
        return self._with_status("failed")

    def _with_status(self, status: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(trial for trial in self.study["trials"] if trial["status"] == status)

    @property
    def recommended(self) -> Mapping[str, Any] | None:
        """The candidate to deploy; None where none could be measured."""
        chosen = self.study["recommended"]
        return self.run.entry(chosen["calibrator"]) if chosen else None

    @property
    def winning(self) -> str | None:
        """The candidate that others are held against."""
        if self.diagnosis is not None:
            return self.diagnosis.winning
        return str(self.recommended["calibrator"]) if self.recommended else None

    @property
    def losing(self) -> str | None:
        """The candidate whose loss is explained: the diagnosis', else the worst, if it is not the winner."""
        if self.diagnosis is not None:
            return self.diagnosis.losing
        ranked = [trial for trial in (*self.measured, *self.stopped) if not trial["same_as"]]
        worst = str(ranked[-1]["calibrator"]) if ranked else None
        return None if worst == self.winning else worst


def load_material(folder: Path) -> Material:
    """Read a run's folder. Raises DataError for a folder that is no run, and for a file that is damaged."""
    run = load_run(folder)
    return Material(
        run,
        diagnosis=read_diagnosis(folder) if (folder / DIAGNOSIS).is_file() else None,
        coverage=_read(folder / COVERAGE, "calibrant coverage"),
        optimization=_read(folder / OPTIMIZATION, "calibrant optimize"),
        statistics=run.statistics() if (folder / STATISTICS).is_file() else None,
        encodings=_encodings(run),
        request=run.request() if (folder / REQUEST).is_file() else None,
    )


def _read(path: Path, command: str) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    content = read_json(path)
    if content.get("schema_version") != _READABLE:
        raise DataError(
            f"{path} has schema version {content.get('schema_version')}, not {_READABLE}; "
            f"make it again: {command}"
        )
    return content


def _encodings(run: Run) -> dict[str, Mapping[str, Encoding]]:
    found = {trial["calibrator"]: run.encodings(trial["calibrator"]) for trial in run.content["trials"]}
    return {name: encodings for name, encodings in found.items() if encodings is not None}
