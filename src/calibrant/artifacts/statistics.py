"""Statistics as a file, to the last count: collected once, read by whoever asks later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.arrays import read_arrays, write_arrays
from calibrant.core.errors import DataError
from calibrant.core.histogram import BINS, Histogram
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Statistics

SCHEMA_VERSION = 1
_MOST_VALUES = 2**48


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write statistics atomically as a compressed .npz. Raises OutputError."""
    write_arrays(path, arrays_of(statistics))


def read_statistics(path: Path) -> Statistics:
    """Read what :func:`write_statistics` wrote. Raises DataError when it is missing or damaged."""
    try:
        return statistics_from(read_arrays(path))
    except ValueError as error:
        raise DataError(f"{path} holds no statistics: {error}; run the study again") from error


def arrays_of(statistics: Statistics) -> dict[str, NDArray[Any]]:
    """Statistics as plain arrays by name."""
    tensors = list(statistics.tensors.values())
    return {
        "schema_version": np.array(SCHEMA_VERSION),
        "model_sha256": np.array(statistics.model_sha256),
        "sample_ids": np.array(statistics.sample_ids, np.str_),
        "names": np.array(list(statistics.tensors), np.str_),
        "counts": np.array([t.histogram.counts for t in tensors], np.int64).reshape(-1, BINS),
        "anchors": np.array([t.histogram.anchor for t in tensors]),
        "limits": np.array([t.histogram.limit for t in tensors]),
        "lows": np.array([t.low for t in tensors]),
        "highs": np.array([t.high for t in tensors]),
    }


def statistics_from(arrays: Mapping[str, NDArray[Any]]) -> Statistics:
    """The statistics that :func:`arrays_of` was given. Raises ValueError for other arrays."""
    try:
        if int(arrays["schema_version"]) != SCHEMA_VERSION:
            raise ValueError(f"schema version {arrays['schema_version']}, not {SCHEMA_VERSION}")
        columns = zip(
            arrays["names"].tolist(),
            arrays["counts"].reshape(-1, BINS),
            *(arrays[name].tolist() for name in ("anchors", "limits", "lows", "highs")),
            strict=True,
        )
        tensors = {
            str(name): TensorStatistics(Histogram(counts.astype(np.int64), anchor, limit), low, high)
            for name, counts, anchor, limit, low, high in columns
        }
        for name, seen in tensors.items():
            _require_possible(name, seen)
        return Statistics(str(arrays["model_sha256"]), tuple(arrays["sample_ids"].tolist()), tensors)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _require_possible(name: str, seen: TensorStatistics) -> None:
    """Refuse what no values give: compiled loops believe these numbers."""
    histogram = seen.histogram
    if (histogram.counts < 0).any() or histogram.counts.max(initial=0) > _MOST_VALUES:
        raise ValueError(f"tensor {name!r} has impossible counts")
    if (
        not 0 <= histogram.anchor <= histogram.limit < math.inf
        or not -math.inf < seen.low <= seen.high < math.inf
    ):
        raise ValueError(f"tensor {name!r} has impossible limits")
