"""What the samples show, as their task tells it; and which samples show the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calibrant.core.machine import usable_cores
from calibrant.core.progress import Progress
from calibrant.core.tasks import Look, Task
from calibrant.core.types import Runtime
from calibrant.models.onnx.model import Model
from calibrant.stages.coverage.duplicates import near_pairs, near_pairs_within
from calibrant.stages.evaluate import predictions_of
from calibrant.stages.parallel import in_order
from calibrant.studies.coverage.result import Feature, SimilarPair
from calibrant.studies.prepare import runnable_file

SAME_FILE, NEAR = "same file", "near-duplicate"


class HasId(Protocol):
    """A sample."""

    @property
    def id(self) -> str:
        """Unique in its set."""
        ...


def looked_at(
    task: Task, samples: Sequence[Any], predictions: Sequence[Any] | None, progress: Progress, title: str
) -> tuple[Look | None, ...]:
    """What each sample shows: by its labels, or by what a model predicts. Raises DataError."""
    predicted = predictions if predictions is not None else [None] * len(samples)

    def look(pair: tuple[Any, Any]) -> Look | None:
        return task.describe(*pair)

    with progress.stage(title, len(samples)) as advance:
        found = []
        for seen in in_order(look, [*zip(samples, predicted, strict=True)], usable_cores()):
            found.append(seen)
            advance()
    return tuple(found)


def predicted(
    model: Model, task: Task, runtime: Runtime, samples: Sequence[Any], progress: Progress, title: str
) -> tuple[Any, ...]:
    """What the float model predicts for each sample. Raises RuntimeFailedError."""
    found = []
    with (
        runnable_file(model) as file,
        runtime.open(file) as session,
        progress.stage(title, len(samples)) as advance,
    ):
        for prediction in predictions_of(session, task, samples):
            found.append(prediction)
            advance()
    return tuple(found)


def features_of(
    calibration: Sequence[Look], other: Sequence[Look], order: Mapping[str, Sequence[str]]
) -> tuple[Feature, ...]:
    """Every feature that occurs in either set, with how often.

    In the order of the task's names, then by name.
    """
    (mine, my_samples), (theirs, their_samples) = _counted(calibration), _counted(other)
    keys = {*my_samples, *their_samples}
    return tuple(
        Feature(*key, mine[key], my_samples[key], theirs[key], their_samples[key])
        for key in sorted(keys, key=lambda key: _place(key, order))
        if my_samples[key] or their_samples[key]
    )


def duplicates_in(
    samples: Sequence[HasId], looks: Sequence[Look], task: Task, same_bits: int
) -> tuple[SimilarPair, ...]:
    """Pairs of calibration samples that show the same, the nearest first."""
    prints = _fingerprints(looks)
    if prints is None:
        return ()
    pairs = near_pairs_within(prints, same_bits)
    return tuple(_similar(task, samples[i], samples[j], "calibration", bits) for i, j, bits in pairs)


def leaks_between(
    samples: Sequence[HasId],
    looks: Sequence[Look],
    test: Sequence[HasId],
    test_looks: Sequence[Look],
    task: Task,
    same_bits: int,
) -> tuple[SimilarPair, ...]:
    """Pairs of a calibration sample and a test sample that show the same, the nearest first."""
    mine, theirs = _fingerprints(looks), _fingerprints(test_looks)
    if mine is None or theirs is None:
        return ()
    pairs = near_pairs(mine, theirs, same_bits)
    return tuple(_similar(task, samples[i], test[j], "test", bits) for i, j, bits in pairs)


def path_of(sample: Any) -> Path | None:
    """A sample's file; None where it has none."""
    path = getattr(sample, "path", None)
    return path if isinstance(path, Path) else None


def _place(key: tuple[str, str], order: Mapping[str, Sequence[str]]) -> tuple[int, int, str]:
    kind, name = key
    kinds = list(order)
    names = list(order.get(kind, ()))
    return (
        kinds.index(kind) if kind in kinds else len(kinds),
        names.index(name) if name in names else len(names),
        "" if name in names else name,
    )


def _counted(looks: Sequence[Look]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """How often each feature occurs, and in how many samples."""
    total: Counter[tuple[str, str]] = Counter()
    present: Counter[tuple[str, str]] = Counter()
    for look in looks:
        total.update(look.features)
        present.update(look.features.keys())
    return total, present


def _fingerprints(looks: Sequence[Look]) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """One row a sample; None where there are none."""
    prints = [look.fingerprint for look in looks if look.fingerprint is not None]
    return np.stack(prints) if prints and len(prints) == len(looks) else None


def _similar(task: Task, first: HasId, second: HasId, second_set: str, bits: int) -> SimilarPair:
    same = bits == 0 and task.digest(first) == task.digest(second)
    return SimilarPair(SAME_FILE if same else NEAR, first.id, second.id, second_set, bits)
