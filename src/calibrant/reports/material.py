"""Everything that a report can tell of a run: study.json and the files that other commands put beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from calibrant.core.metrics import Metric
from calibrant.core.tasks import Words
from calibrant.core.types import Encoding, Statistics
from calibrant.studies.coverage.result import CoverageResult, read_coverage
from calibrant.studies.diagnosis.files import DIAGNOSIS, read_diagnosis
from calibrant.studies.diagnosis.result import Diagnosis
from calibrant.studies.optimization.result import OptimizationResult, read_optimization
from calibrant.studies.request import REQUEST, StudyRequest
from calibrant.studies.result import StudyResult, Trial
from calibrant.studies.run import STATISTICS
from calibrant.studies.runs import Run, load_run

COVERAGE, OPTIMIZATION = "coverage.json", "optimization.json"
REPORT = "report.html"


@dataclass(frozen=True)
class Material:
    """A run with what is known of it; None or empty where the file is not there.

    ``encodings`` are the activations' by calibrator.
    """

    run: Run
    diagnosis: Diagnosis | None = None
    coverage: CoverageResult | None = None
    optimization: OptimizationResult | None = None
    statistics: Statistics | None = None
    encodings: Mapping[str, Mapping[str, Encoding]] | None = None
    request: StudyRequest | None = None

    @property
    def study(self) -> StudyResult:
        """What study.json tells."""
        return self.run.result

    @property
    def metric(self) -> Metric:
        """What was measured."""
        return self.study.metric

    @property
    def words(self) -> Words:
        """What samples and labels are called."""
        return self.study.definition.words

    @property
    def model_name(self) -> str:
        """The model's file name."""
        return Path(self.study.model.path).name

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """The candidates with a score over all test samples, best first; equals in the study's order."""
        return self._with_status("ok")

    @cached_property
    def stopped(self) -> tuple[Trial, ...]:
        """The candidates that were significantly worse on fewer samples, least loss first."""
        return self._with_status("stopped")

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The candidates without a score."""
        return self._with_status("failed")

    def _with_status(self, status: str) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.study.ranking if trial.status == status)

    @property
    def recommended(self) -> Trial | None:
        """The candidate to deploy; None where there is none to recommend."""
        chosen = self.study.recommended
        return self.run.trial(chosen.calibrator) if chosen else None

    @property
    def winning(self) -> str | None:
        """The candidate that others are held against."""
        if self.diagnosis is not None:
            return self.diagnosis.winning
        return self.recommended.calibrator if self.recommended else None

    @property
    def losing(self) -> str | None:
        """The candidate that the winner is compared with: the diagnosis', else the worst; None: none."""
        if self.diagnosis is not None and self.diagnosis.losing != self.diagnosis.winning:
            return self.diagnosis.losing
        ranked = [trial for trial in (*self.measured, *self.stopped) if not trial.same_as]
        worst = ranked[-1].calibrator if ranked else None
        return None if worst == self.winning else worst


def load_material(folder: Path) -> Material:
    """Read a run's folder. Raises DataError for a folder that is no run, and for a file that is damaged."""
    run = load_run(folder)
    return Material(
        run,
        diagnosis=read_diagnosis(folder) if (folder / DIAGNOSIS).is_file() else None,
        coverage=read_coverage(folder / COVERAGE) if (folder / COVERAGE).is_file() else None,
        optimization=read_optimization(folder / OPTIMIZATION) if (folder / OPTIMIZATION).is_file() else None,
        statistics=run.statistics() if (folder / STATISTICS).is_file() else None,
        encodings=_encodings(run),
        request=run.request() if (folder / REQUEST).is_file() else None,
    )


def _encodings(run: Run) -> dict[str, Mapping[str, Encoding]]:
    found = {trial.calibrator: run.encodings(trial.calibrator) for trial in run.result.trials}
    return {name: encodings for name, encodings in found.items() if encodings is not None}
