"""Calibration caches read, compared, converted to another TensorRT and exchanged as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError, SettingsError
from calibrant.targets.tensorrt.cache import (
    LEGACY,
    TensorRTCache,
    assuming,
    header_for,
    origin_of,
    version_named,
)
from calibrant.targets.tensorrt.cache_diff import CacheDifference, difference
from calibrant.targets.tensorrt.cache_files import (
    read_cache,
    read_cache_json,
    write_cache,
    write_cache_json,
)
from calibrant.targets.tensorrt.cache_json import to_json


def show_cache(file: str | Path, assume_version: str | None = None) -> TensorRTCache:
    """Read a TensorRT calibration cache as it is, also with scales that are no finite positive numbers.

    assume_version: TensorRT's, e.g. "8.5.1", where the header names none (``TRT-8XXX-...``).
    Raises DataError for a file that is none, or is damaged, and SettingsError for no version.
    """
    return assumed(read_cache(Path(file), any_scale=True), assume_version)


def assumed(cache: TensorRTCache, version: str | None) -> TensorRTCache:
    """The cache with this version of TensorRT, if it names none itself. Raises SettingsError."""
    return cache if version is None else assuming(cache, version_named(version))


def diff_caches(before: str | Path, after: str | Path) -> CacheDifference:
    """Compare the scales of two caches, tensor by tensor.

    Raises DataError for a file that is no cache, and for two that have no tensor in common.
    """
    first, second = read_cache(Path(before)), read_cache(Path(after))
    if not first.scales.keys() & second.scales.keys():
        raise DataError(
            f"{Path(before).name} and {Path(after).name} have no tensor in common; "
            "compare two caches of one model"
        )
    return difference(first, second)


def convert_cache(
    file: str | Path,
    out: str | Path,
    tensorrt: str,
    *,
    algorithm: str | None = None,
    quantile: float | None = None,
    cutoff: float | None = None,
) -> TensorRTCache:
    """Rewrite a cache's header so that another TensorRT takes it for its own; the scales stay.

    tensorrt: "8.5.1", "8.5.1.7" or "10.3". algorithm: minmax, entropy2, entropy or legacy (default: the
    cache's own). quantile and cutoff, 0..1, are part of a Legacy header only; they default to the cache's
    own, or to 0.9999 and 1. Raises DataError, SettingsError or OutputError.
    """
    cache = read_cache(Path(file))
    origin = origin_of(cache.header)
    chosen = algorithm or origin.algorithm
    if chosen != LEGACY and not (quantile is None and cutoff is None):
        raise SettingsError(
            f"quantile and cutoff belong to algorithm legacy, not to {chosen}; leave them out"
        )
    header = header_for(
        chosen,
        version_named(tensorrt),
        quantile=_first(quantile, origin.quantile, 0.9999),
        cutoff=_first(cutoff, origin.cutoff, 1.0),
    )
    converted = TensorRTCache(header, cache.scales)
    write_cache(converted, Path(out))
    return converted


def cache_to_json(
    file: str | Path, out: str | Path | None = None, assume_version: str | None = None
) -> dict[str, Any]:
    """Describe a cache in JSON types, and write that to ``out`` if it is given.

    assume_version as for show_cache. Raises DataError, SettingsError or OutputError.
    """
    cache = show_cache(file, assume_version)
    if out is not None:
        write_cache_json(cache, Path(out))
    return to_json(cache)


def cache_from_json(file: str | Path, out: str | Path) -> TensorRTCache:
    """Make the cache again that ``cache_to_json`` described. Raises DataError or OutputError."""
    cache = read_cache_json(Path(file))
    write_cache(cache, Path(out))
    return cache


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
