"""What the images of all sets show, and which show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.core.progress import Progress
from calibrant.studies.coverage.contents import (
    FOUND_SCORE,
    ImageContent,
    contents_by_detection,
    contents_by_label,
    detected,
    duplicates_in,
    features_of,
    leaks_between,
    looked_at,
)
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import Contents, SimilarPair
from calibrant.tasks.detection import CalibrationSample
from calibrant.tasks.media.appearance import Appearance

DETECTIONS = f"detections of the float model with a score of {FOUND_SCORE} or more"
LABELS = "labels"


@dataclass(frozen=True)
class Shown:
    """What was seen.

    ``candidates`` are the pool's samples (the calibration set's where there is no pool) without those that
    are test images too; ``kept`` are their positions, and ``candidate_contents`` what they show.
    """

    contents: Contents | None
    duplicates: tuple[SimilarPair, ...]
    leaks: tuple[SimilarPair, ...]
    kept: tuple[int, ...]
    candidates: tuple[CalibrationSample, ...]
    candidate_contents: tuple[ImageContent, ...]


@dataclass(frozen=True)
class _Looked:
    samples: tuple[CalibrationSample, ...]
    looks: tuple[Appearance, ...]
    contents: tuple[ImageContent, ...]


_NOTHING = _Looked((), (), ())


def look_at_sets(study: CoverageStudy, progress: Progress) -> Shown:
    """Look at every image of every set once; preprocessed arrays show nothing.

    Raises ImageError or RuntimeFailedError.
    """
    own, pool = _NOTHING, None
    if study.shows_images:
        own = _looked(study, study.calibration.samples, "calibration", progress)
    else:
        progress.note("preprocessed arrays cannot be looked at: no duplicates, leaks or classes are searched")
    if study.pool:
        pool = _looked(study, study.pool.samples, "pool", progress)
    test = study.test.samples if study.test else ()
    test_looks = looked_at(test, progress, "Looking at test")
    among = pool or own
    leaked = {pair.first for pair in leaks_between(among.samples, among.looks, test, test_looks)}
    kept = tuple(index for index, sample in enumerate(among.samples) if sample.id not in leaked)
    return Shown(
        _contents(study, own, pool, test_looks) if study.shows_images else None,
        duplicates_in(own.samples, own.looks),
        leaks_between(own.samples, own.looks, test, test_looks),
        kept,
        tuple(among.samples[index] for index in kept),
        tuple(among.contents[index] for index in kept),
    )


def _looked(
    study: CoverageStudy, samples: tuple[CalibrationSample, ...], role: str, progress: Progress
) -> _Looked:
    looks = looked_at(samples, progress, f"Looking at {role}")
    found = detected(
        study.detector.model, study.task, study.runtime, samples, progress, f"Detecting in {role}"
    )
    return _Looked(samples, looks, contents_by_detection(found, looks, study.task.categories))


def _contents(
    study: CoverageStudy, own: _Looked, pool: _Looked | None, test_looks: Sequence[Appearance]
) -> Contents | None:
    categories = study.task.categories
    if study.test:
        truths = [sample.truth for sample in study.test.samples]
        labelled = contents_by_label(truths, test_looks, categories)
        return Contents(DETECTIONS, LABELS, "test", features_of(own.contents, labelled, categories))
    if pool:
        features = features_of(own.contents, pool.contents, categories)
        return Contents(DETECTIONS, DETECTIONS, "pool", features)
    return None
