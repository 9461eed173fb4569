"""What is diagnosed: a study, its statistics, and the candidate whose loss is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.types import Encoding, Statistics
from calibrant.studies.result import StudyResult
from calibrant.studies.run import Study


@dataclass(frozen=True)
class DiagnosedCandidate:
    """One measured candidate: its encodings by tensor, and what it lost against FP32.

    A candidate that was stopped early has its loss on the samples seen by then.
    """

    calibrator: str
    encodings: Mapping[str, Encoding]
    lost: float


@dataclass(frozen=True)
class DiagnosisInput:
    """A study that is done.

    ``losing`` is the candidate whose loss is explained, and ``winning`` the one that it is compared with. By
    default both are the recommended one: its loss against FP32 is explained.
    """

    study: Study
    statistics: Statistics
    candidates: Mapping[str, DiagnosedCandidate]
    losing: str
    winning: str

    @property
    def is_compared(self) -> bool:
        """Whether a second candidate is held against the first."""
        return self.losing != self.winning

    @property
    def held(self) -> tuple[DiagnosedCandidate, ...]:
        """The losing candidate, then the winning one where it is another."""
        names = dict.fromkeys((self.losing, self.winning))
        return tuple(self.candidates[name] for name in names)


def case_of(
    study: Study,
    statistics: Statistics,
    encodings: Mapping[str, Mapping[str, Encoding]],
    result: StudyResult,
    losing: str | None = None,
    winning: str | None = None,
) -> DiagnosisInput:
    """Choose the candidate to explain: by default the recommended one, else the one that loses least.

    ``losing`` asks for another, which is then compared with the recommended one, or with ``winning``.

    encodings: by calibrator and tensor. result: the study's. Raises SettingsError for a name that the study
    did not measure, DataError where it measured none.
    """
    candidates = {
        trial.calibrator: DiagnosedCandidate(trial.calibrator, encodings[trial.calibrator], trial.loss.value)
        for trial in result.trials
        if trial.loss is not None and trial.calibrator in encodings
    }
    if not candidates:
        raise DataError("the study measured no candidate, so there is nothing to diagnose; run it again")
    recommended = result.recommended.calibrator if result.recommended else None
    best = recommended or min(candidates.values(), key=lambda found: found.lost).calibrator
    return DiagnosisInput(
        study,
        statistics,
        candidates,
        _known(losing or best, candidates),
        _known(winning or best, candidates),
    )


def _known(name: str, candidates: Mapping[str, DiagnosedCandidate]) -> str:
    if name not in candidates:
        raise SettingsError(f"the study measured no {name!r}; it has {', '.join(candidates)}")
    return name
