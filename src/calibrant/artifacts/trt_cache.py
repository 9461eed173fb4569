"""TensorRT's calibration cache: a header, then one ``name: hex`` line a tensor.

hex is the big-endian float32 *scale* (threshold / 127), not zero-padded. Names may hold ``": "``; the
last one separates. TensorRT recalibrates when the header is not its own version and algorithm.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibrant.core.errors import DataError, SettingsError

DEFAULT_TENSORRT = (8, 5, 1)
ALGORITHMS = {
    "minmax": "MinMaxCalibration",
    "entropy2": "EntropyCalibration2",
    "entropy": "EntropyCalibration",
}
LEGACY = "legacy"
_LEGACY_HEADER = re.compile(r"0 [0-9a-f]{1,16} [0-9a-f]{1,16}")
_HEADER = re.compile(r"TRT-(\d{1,9})-(\w+)")
_HEX = re.compile(r"[0-9a-f]{1,8}")


@dataclass(frozen=True)
class TensorRTCache:
    """A cache file's content. scales: float32 values in real units per step, by tensor, in file order."""

    header: str
    scales: Mapping[str, float]


def header_for(
    algorithm: str, version: tuple[int, int, int] = DEFAULT_TENSORRT, quantile: float = 0.9999
) -> str:
    """The first line that TensorRT ``version`` writes for ``algorithm``.

    Legacy carries its regression cutoff (1) and quantile instead of a version.
    Raises SettingsError for an algorithm that TensorRT does not have.
    """
    if algorithm == LEGACY:
        return f"0 {_double_bits(1.0):x} {_double_bits(quantile):x}"
    if algorithm not in ALGORITHMS:
        known = ", ".join([*ALGORITHMS, LEGACY])
        raise SettingsError(f"TensorRT has no calibrator {algorithm!r}; known: {known}")
    return f"TRT-{_version_number(version)}-{ALGORITHMS[algorithm]}"


def dumps(cache: TensorRTCache) -> str:
    """The file's text. Raises DataError for a name or scale that the format cannot hold."""
    lines = [cache.header]
    for name, scale in cache.scales.items():
        if not name or any(c in name for c in "\r\n"):
            raise DataError(f"tensor name {name!r} does not fit on a cache line; rename it in the ONNX file")
        if not (np.isfinite(scale) and scale >= 0):
            raise DataError(f"tensor {name!r} has scale {scale}, which is no finite positive number")
        lines.append(f"{name}: {_float_bits(scale):x}")
    return "\n".join(lines) + "\n"


def loads(text: str, source: str = "the cache") -> TensorRTCache:
    """Read a cache's text; CRLF line ends are accepted.

    Raises DataError with the line number for an unknown header, a malformed, repeated or truncated
    line, and a scale that is not finite or is negative. A scale of zero is kept as it is.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if not (_HEADER.fullmatch(lines[0]) or _LEGACY_HEADER.fullmatch(lines[0])):
        raise DataError(
            f"{source} is no TensorRT calibration cache: it begins with {lines[0][:40]!r}, "
            "not e.g. 'TRT-8501-EntropyCalibration2'"
        )
    scales: dict[str, float] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line:
            name, scale = _parsed(line, f"{source}, line {number}")
            if name in scales:
                raise DataError(f"{source}, line {number}: {name!r} appears twice; keep one of the lines")
            scales[name] = scale
    return TensorRTCache(lines[0], scales)


def _parsed(line: str, where: str) -> tuple[str, float]:
    name, separator, digits = line.rpartition(": ")
    if not (separator and name and _HEX.fullmatch(digits)):
        raise DataError(f"{where}: {line[:60]!r} is not 'name: hex scale', e.g. 'images: 3c010a14'")
    (scale,) = struct.unpack(">f", bytes.fromhex(digits.zfill(8)))
    if not (np.isfinite(scale) and scale >= 0):
        raise DataError(f"{where}: {name!r} has scale {scale}, which is no finite positive number")
    return name, float(scale)


def _version_number(version: tuple[int, int, int]) -> int:
    major, minor, patch = version
    if major >= 10:
        return major * 10000 + minor * 100 + patch
    return major * 1000 + minor * 100 + patch


def _float_bits(scale: float) -> int:
    return int.from_bytes(struct.pack(">f", np.float32(scale)), "big")


def _double_bits(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")
