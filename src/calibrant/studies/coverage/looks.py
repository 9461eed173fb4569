"""What the samples of all sets show, and which show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calibrant.core.progress import Progress
from calibrant.core.tasks import Look
from calibrant.studies.coverage.contents import (
    duplicates_in,
    features_of,
    leaks_between,
    looked_at,
    predicted,
)
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import Contents, SimilarPair

PREDICTIONS = "predictions of the float model"
LABELS = "labels"


@dataclass(frozen=True)
class SetLooks:
    """What was seen.

    ``candidates`` are the pool's samples (the calibration set's where there is no pool) without those that
    are test samples too; ``kept`` are their positions, and ``candidate_looks`` what they show.
    """

    contents: Contents | None
    duplicates: tuple[SimilarPair, ...]
    leaks: tuple[SimilarPair, ...]
    kept: tuple[int, ...]
    candidates: tuple[Any, ...]
    candidate_looks: tuple[Look, ...]


@dataclass(frozen=True)
class _Looked:
    samples: tuple[Any, ...]
    looks: tuple[Look, ...]


_NOTHING = _Looked((), ())


def look_at_sets(study: CoverageStudy, progress: Progress) -> SetLooks:
    """Look at every sample of every set once; what a task cannot look at shows nothing.

    Raises DataError or RuntimeFailedError.
    """
    own = _looked(study, study.calibration.samples, "calibration", progress)
    if not own.samples:
        samples = study.task.words.samples
        progress.note(f"these {samples} cannot be looked at: no duplicates, leaks or contents are searched")
    pool = _looked(study, study.pool.samples, "pool", progress) if study.pool else None
    test = _labelled(study, progress)
    same_bits, among = study.opened.definition.same_bits, pool or own
    leaked = {pair.first for pair in _leaks(study, among, test)}
    kept = tuple(index for index, sample in enumerate(among.samples) if sample.id not in leaked)
    return SetLooks(
        _contents(study, own, pool, test) if own.samples else None,
        duplicates_in(own.samples, own.looks, study.task, same_bits) if own.samples else (),
        _leaks(study, own, test),
        kept,
        tuple(among.samples[index] for index in kept),
        tuple(among.looks[index] for index in kept),
    )


def _leaks(study: CoverageStudy, among: _Looked, test: _Looked) -> tuple[SimilarPair, ...]:
    if not among.samples or not test.samples:
        return ()
    same_bits = study.opened.definition.same_bits
    return leaks_between(among.samples, among.looks, test.samples, test.looks, study.task, same_bits)


def _looked(study: CoverageStudy, samples: Sequence[Any], role: str, progress: Progress) -> _Looked:
    """Samples by what the float model predicts; nothing where the task cannot look at them."""
    if study.task.describe(samples[0]) is None:
        return _NOTHING
    found = predicted(study.opened.model, study.task, study.runtime, samples, progress, f"Predicting {role}")
    looks = looked_at(study.task, samples, found, progress, f"Looking at {role}")
    return _whole(samples, looks)


def _labelled(study: CoverageStudy, progress: Progress) -> _Looked:
    if study.test is None:
        return _NOTHING
    looks = looked_at(study.task, study.test.samples, None, progress, "Looking at test")
    return _whole(study.test.samples, looks)


def _whole(samples: Sequence[Any], looks: Sequence[Look | None]) -> _Looked:
    """Samples with their looks, where each has one."""
    seen = tuple(look for look in looks if look is not None)
    return _Looked(tuple(samples), seen) if len(seen) == len(samples) else _NOTHING


def _contents(study: CoverageStudy, own: _Looked, pool: _Looked | None, test: _Looked) -> Contents | None:
    order = study.opened.definition.features
    if test.samples:
        return Contents(PREDICTIONS, LABELS, "test", features_of(own.looks, test.looks, order))
    if pool:
        return Contents(PREDICTIONS, PREDICTIONS, "pool", features_of(own.looks, pool.looks, order))
    return None
