"""TensorRT's calibration caches, and what Calibrant keeps between runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from calibrant.artifacts.arrays import packed, unpacked
from calibrant.artifacts.statistics import arrays_of, statistics_from
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics
from calibrant.targets.tensorrt.cache import TensorRTCache, dumps
from calibrant.targets.tensorrt.cache_files import parsed_cache, parsed_cache_json
from calibrant.targets.tensorrt.cache_json import to_json
from calibrant.tasks.detection import MatchTable
from calibrant.tasks.detection.packing import unpacked as detections_from
from targets.base import Target, document, refusals, spliced

CACHE = TensorRTCache("TRT-8501-EntropyCalibration2", {"images": 0.0078, "a: b": 0.0, "c": 3.4e38})

LEGACY = b"0 3ff0000000000000 3feff2e48e8a71de\nx: 1\n"


def _cache_text(content: bytes) -> None:
    _check_cache(parsed_cache, spliced(content, dumps(CACHE).encode()))


def _cache_json(content: bytes) -> None:
    _check_cache(parsed_cache_json, document(content, to_json(CACHE)))


def _check_cache(read: Callable[[bytes], TensorRTCache], content: bytes) -> None:
    """Whatever is read comes back from its own text and from its own JSON."""
    with refusals():
        cache = read(content)
        text, described = dumps(cache).encode(), json.dumps(to_json(cache)).encode()
        assert parsed_cache(text) == parsed_cache_json(described) == cache


def _statistics_bytes() -> bytes:
    seen = {"t": statistics_of(np.linspace(-1, 3, 64, dtype=np.float32))}
    return packed(arrays_of(Statistics("0" * 64, ("a", "b"), seen)))


def _arrays(content: bytes) -> None:
    """Kept arrays are read by three parsers; each may only say ValueError or KeyError."""
    given = spliced(content, _ARRAYS)
    try:
        arrays = unpacked(given)
    except ValueError:
        return
    for read in (statistics_from, MatchTable.from_arrays, detections_from):
        try:
            read(arrays)
        except (ValueError, KeyError):
            continue


_ARRAYS = _statistics_bytes()

CACHES = (
    Target("trt-cache", _cache_text, lambda: [dumps(CACHE).encode(), LEGACY]),
    Target("trt-cache-json", _cache_json, lambda: [json.dumps(to_json(CACHE)).encode()]),
    Target("kept-arrays", _arrays, lambda: [_ARRAYS]),
)
