"""A TensorRT calibration cache as JSON, for people and scripts, and back again bit for bit.

::

    {"format": "calibrant.tensorrt-cache", "version": 1,
     "header": "TRT-8501-EntropyCalibration2", "algorithm": "entropy2", "tensorrt": "8.5.1",
     "tensors": {"images": {"scale": 0.0078759, "threshold": 1.0002441, "hex": "3c010a14"}}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from calibrant.artifacts.versions import require_version
from calibrant.core.errors import DataError
from calibrant.targets.tensorrt.cache import (
    LARGEST_SCALE,
    TensorRTCache,
    dumps,
    hex_of,
    origin_of,
    scale_of,
    threshold_of,
    unfit_scales,
)

FORMAT = "calibrant.tensorrt-cache"
VERSION = 1


def to_json(cache: TensorRTCache) -> dict[str, Any]:
    """The cache in JSON types. scale and threshold (scale * 127) are real units; hex holds the exact bits.

    A scale that is not finite is null, as JSON has no such numbers; ``unfit`` names the tensors whose scale
    is negative or not finite, where there are some.
    """
    origin = origin_of(cache.header)
    unfit = unfit_scales(cache)
    return {
        "format": FORMAT,
        "version": VERSION,
        "header": cache.header,
        "algorithm": origin.algorithm,
        "tensorrt": ".".join(map(str, origin.tensorrt)) if origin.tensorrt else None,
        "tensors": {name: _described(scale) for name, scale in cache.scales.items()},
        **({"unfit": list(unfit)} if unfit else {}),
    }


def _described(scale: float) -> dict[str, Any]:
    return {"scale": _finite(scale), "threshold": _finite(threshold_of(scale)), "hex": hex_of(scale)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def from_json(content: Any, source: str = "the JSON") -> TensorRTCache:
    """The cache that ``to_json`` described.

    ``header`` and ``tensors`` are needed, and of each tensor ``hex`` or ``scale``; what else is given must
    agree with it, so that an edit in one place only is not lost.
    Raises DataError for anything that is not such a description or does not fit into a cache.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{source} is no cache in JSON; make one with: calibrant cache to-json")
    require_version(content, source, (VERSION,), "use the Calibrant that wrote it", "version")
    header, tensors = content.get("header"), content.get("tensors")
    if not isinstance(header, str) or not isinstance(tensors, dict):
        raise DataError(f"{source} lacks 'header' or 'tensors'; make it again with: calibrant cache to-json")
    origin_of(header, source)
    scales = {name: _scale_in(entry, f"{source}, tensor {name[:60]!r}") for name, entry in tensors.items()}
    cache = TensorRTCache(header, scales)
    dumps(cache)  # a name or a scale that no cache can hold is refused here and not later
    return cache


def _scale_in(entry: Any, where: str) -> float:
    if not isinstance(entry, dict) or not {"hex", "scale"} & entry.keys():
        raise DataError(f'{where}: has neither hex nor scale; give e.g. {{"hex": "3c010a14"}}')
    told = _number(entry, "scale", where)
    scale = scale_of(str(entry["hex"]), where) if "hex" in entry else _float32(told)
    if "scale" in entry and _float32(told) != scale:
        raise _disagreement(where, "scale", told, scale)
    threshold = _number(entry, "threshold", where)
    if "threshold" in entry and not math.isclose(threshold, threshold_of(scale), rel_tol=1e-6):
        raise _disagreement(where, "threshold", threshold, scale)
    return scale


def _number(entry: Mapping[str, Any], key: str, where: str) -> float:
    value = entry.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_SCALE * 128:
        raise DataError(f"{where}: {key} is {str(value)[:60]}, no number that a float32 can hold; mend it")
    return float(value)


def _float32(value: float) -> float:
    return float(np.float32(value)) if abs(value) <= LARGEST_SCALE else math.inf


def _disagreement(where: str, key: str, told: float, scale: float) -> DataError:
    return DataError(
        f"{where}: {key} is {told:g}, but hex and scale mean scale {scale:g}, threshold "
        f"{threshold_of(scale):g}; change all three, or leave out the ones that are old"
    )
