"""Results that later runs need not compute again: statistics, and what models predicted.

Each is kept under a hash of everything that decides it: contents, settings, versions, the processor, and
Calibrant's own code. A study that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.arrays import packed, unpacked
from calibrant.artifacts.cache import Cache
from calibrant.artifacts.statistics import arrays_of, statistics_from
from calibrant.core.from_json import built
from calibrant.core.processor import processor_flags
from calibrant.core.reading import read_bytes
from calibrant.core.tasks import Task
from calibrant.core.types import Latency, Runtime, Statistics
from calibrant.stages.evaluate import Predictions
from calibrant.studies.environment import environment

_STATISTICS, _PREDICTIONS = "statistics", "predictions"
_PREPARED_SHARE = 1 / 4


class CachedResults:
    """Statistics and predictions of this machine, by what decides them.

    cache: None keeps nothing.
    """

    def __init__(self, cache: Cache | None, task: Task, runtimes: Sequence[Runtime]) -> None:
        self._cache = cache
        self._task = task
        self._scope = _sha256([_code_sha256(), sorted(processor_flags()), *map(environment, runtimes)])

    def remembering(self, task: Task, samples: int) -> Task:
        """``task`` with a memory for samples that are run again and again.

        Not where they would push out of the cache what takes longer to compute.
        """
        if self._cache is None or not task.prepared_bytes:
            return task
        fits = samples * task.prepared_bytes <= _PREPARED_SHARE * self._cache.limit
        return task.remembering(self._cache) if fits else task

    def statistics(
        self, decided_by: Mapping[str, Any] | None, collect: Callable[[], Statistics]
    ) -> Statistics:
        """Statistics that were kept, or else collected now.

        decided_by: JSON types, the ``tensors`` and ``ids`` of samples among them; None: not known.
        """
        if self._cache is None or decided_by is None:
            return collect()
        key = self._key(decided_by)
        kept = self._arrays(_STATISTICS, key)
        if kept is not None:
            try:
                return _statistics_from(kept, decided_by)
            except ValueError:
                self._cache.remove(_STATISTICS, key)
        statistics = collect()
        self._cache.write(_STATISTICS, key, packed(arrays_of(statistics)))
        return statistics

    def predictions(self, key: str | None) -> Predictions:
        """What is known of one model's predictions; key: what decides them, None: not known."""
        if self._cache is None or key is None:
            return Predictions()
        kept = self._arrays(_PREDICTIONS, self._key(key))
        try:
            return _predictions_from(kept, self._task) if kept is not None else Predictions()
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError):
            self._cache.remove(_PREDICTIONS, self._key(key))
            return Predictions()

    def keep_predictions(self, key: str | None, predictions: Predictions) -> None:
        """Keep what one model predicted so far."""
        if self._cache is None or key is None:
            return
        found = self._task.pack(list(predictions.found.values()))
        if found is not None:
            self._cache.write(_PREDICTIONS, self._key(key), packed(_arrays_of(predictions, found)))

    def _key(self, decided_by: object) -> str:
        return _sha256([self._scope, decided_by])

    def _arrays(self, kind: str, key: str) -> dict[str, NDArray[Any]] | None:
        assert self._cache is not None
        content = self._cache.read(kind, key)
        try:
            return None if content is None else unpacked(content)
        except ValueError:  # whole, but of other code
            self._cache.remove(kind, key)
            return None


def _arrays_of(predictions: Predictions, found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    latency = asdict(predictions.latency) if predictions.latency else None
    return {
        **found,
        "positions": np.array(list(predictions.found), np.int64),
        "seconds": np.array(predictions.seconds),
        "latency": np.array(json.dumps(latency)),
    }


def _statistics_from(arrays: Mapping[str, NDArray[Any]], decided_by: Mapping[str, Any]) -> Statistics:
    found = statistics_from(arrays)
    if set(found.tensors) != set(decided_by["tensors"]) or len(found.sample_ids) != len(decided_by["ids"]):
        raise ValueError("statistics of other tensors or samples")
    return found


def _predictions_from(arrays: dict[str, NDArray[Any]], task: Task) -> Predictions:
    positions, seconds, latency = (arrays.pop(name) for name in ("positions", "seconds", "latency"))
    found = dict(zip(positions.tolist(), task.unpack(arrays), strict=True))
    if positions.dtype != np.int64 or len(found) != len(positions) or min(found, default=0) < 0:
        raise ValueError("positions are no places of samples")
    told = json.loads(str(latency))
    return Predictions(found, float(seconds), built(Latency, told) if told else None)


@cache
def _code_sha256() -> str:
    """A hash of Calibrant's own source: a change of it may change any number."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + read_bytes(path))
    return digest.hexdigest()


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()
