"""What is diagnosed: a study, its statistics, and two of its candidates held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.types import Encoding, Statistics
from calibrant.studies.run import Study


@dataclass(frozen=True)
class Trialed:
    """One measured candidate: its encodings by tensor, and the points of mAP it lost against FP32.

    A candidate that was beaten early has its drop on the images seen by then.
    """

    calibrator: str
    encodings: Mapping[str, Encoding]
    drop: float


@dataclass(frozen=True)
class Case:
    """A study that is done. ``losing`` and ``winning`` are the candidates held against each other."""

    study: Study
    statistics: Statistics
    candidates: Mapping[str, Trialed]
    losing: str
    winning: str

    @property
    def held(self) -> tuple[Trialed, ...]:
        """The losing candidate, then the winning one where it is another."""
        names = dict.fromkeys((self.losing, self.winning))
        return tuple(self.candidates[name] for name in names)


def case_of(
    study: Study,
    statistics: Statistics,
    encodings: Mapping[str, Mapping[str, Encoding]],
    content: Mapping[str, Any],
    losing: str | None = None,
    winning: str | None = None,
) -> Case:
    """Choose whom to hold against whom: by default the worst measured candidate and the recommended one.

    encodings: by calibrator and tensor. content: study.json. Raises SettingsError for a name that the study
    did not measure, DataError where it measured none.
    """
    candidates = {
        trial["calibrator"]: Trialed(trial["calibrator"], encodings[trial["calibrator"]], trial["drop"])
        for trial in content["trials"]
        if trial.get("drop") is not None and trial["calibrator"] in encodings
    }
    if not candidates:
        raise DataError("the study measured no candidate, so there is nothing to diagnose; run it again")
    worst = max(candidates.values(), key=lambda trial: trial.drop).calibrator
    recommended = (content.get("recommended") or {}).get("calibrator")
    best = recommended or min(candidates.values(), key=lambda trial: trial.drop).calibrator
    return Case(
        study,
        statistics,
        candidates,
        _known(losing or worst, candidates),
        _known(winning or best, candidates),
    )


def _known(name: str, candidates: Mapping[str, Trialed]) -> str:
    if name not in candidates:
        raise SettingsError(f"the study measured no {name!r}; it has {', '.join(candidates)}")
    return name
