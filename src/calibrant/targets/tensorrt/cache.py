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
from calibrant.core.formats import INT8

Version = tuple[int, int, int]

DEFAULT_TENSORRT: Version = (8, 5, 1)
LAST_WITH_CALIBRATORS = 10
ALGORITHMS = {
    "minmax": "MinMaxCalibration",
    "entropy2": "EntropyCalibration2",
    "entropy": "EntropyCalibration",
}
LEGACY = "legacy"
LARGEST_INTEGER = int(INT8.highest)
LARGEST_SCALE = float(np.finfo(np.float32).max)
_LEGACY_HEADER = re.compile(r"0 ([0-9a-f]{1,16}) ([0-9a-f]{1,16})")
_HEADER = re.compile(r"TRT-([1-9][0-9]{3}|10[0-9]{4})-(\w+)")
_UNKNOWN_VERSION = re.compile(r"TRT-([0-9]{0,6}[A-Za-z][0-9A-Za-z]{0,6})-(\w+)")
"""Documents and tools write TRT-8XXX where the version does not matter to them."""
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,2})(?:\.([0-9]{1,2})(?:\.[0-9]{1,6})?)?")
_HEX = re.compile(r"[0-9a-fA-F]{1,8}")
_UNFIT = re.compile("[\r\n\ud800-\udfff]")  # line ends, and halves of characters, which no UTF-8 holds
_SHOWN = 60


@dataclass(frozen=True)
class TensorRTCache:
    """A cache file's content. scales: float32 values in real units per step, by tensor, in file order."""

    header: str
    scales: Mapping[str, float]


@dataclass(frozen=True)
class CacheOrigin:
    """What a header says: which calibrator wrote the cache, and which TensorRT.

    Legacy names its regression ``cutoff`` and ``quantile`` (0..1) and no version; the others the reverse, but
    for a header such as ``TRT-8XXX-``, whose version is unknown (None).
    """

    algorithm: str
    tensorrt: Version | None = None
    quantile: float | None = None
    cutoff: float | None = None

    def __str__(self) -> str:
        if self.tensorrt is None and self.quantile is None:
            return f"{self.algorithm}, TensorRT of unknown version"
        if self.tensorrt is None:
            return f"{self.algorithm} (quantile {self.quantile:g}, cutoff {self.cutoff:g}), any TensorRT"
        return f"{self.algorithm}, TensorRT {'.'.join(map(str, self.tensorrt))}"


def header_for(
    algorithm: str, version: Version = DEFAULT_TENSORRT, quantile: float = 0.9999, cutoff: float = 1.0
) -> str:
    """The first line that TensorRT ``version`` writes for ``algorithm``.

    Legacy carries its regression cutoff and quantile instead of a version.
    Raises SettingsError for an algorithm that TensorRT does not have.
    """
    if algorithm == LEGACY:
        return f"0 {_double_bits(cutoff):x} {_double_bits(quantile):x}"
    if algorithm not in ALGORITHMS:
        known = ", ".join([*ALGORITHMS, LEGACY])
        raise SettingsError(f"TensorRT has no calibrator {algorithm!r}; known: {known}")
    return f"TRT-{_version_number(version)}-{ALGORITHMS[algorithm]}"


def origin_of(header: str, source: str = "the cache") -> CacheOrigin:
    """Read a header. Raises DataError for one that no TensorRT writes."""
    legacy = _LEGACY_HEADER.fullmatch(header)
    if legacy:
        cutoff, quantile = (_double(digits) for digits in legacy.groups())
        if 0 <= cutoff <= 1 and 0 <= quantile <= 1:
            return CacheOrigin(LEGACY, quantile=quantile, cutoff=cutoff)
    unknown = _UNKNOWN_VERSION.fullmatch(header)
    named = unknown or _HEADER.fullmatch(header)
    algorithms = {title: name for name, title in ALGORITHMS.items()}
    if named and named[2] in algorithms:
        return CacheOrigin(algorithms[named[2]], tensorrt=None if unknown else _version_of(int(named[1])))
    if named:
        raise DataError(
            f"{source} names a calibrator {named[2][:_SHOWN]!r} that TensorRT does not have; "
            f"known: {', '.join(algorithms)}"
        )
    raise not_a_cache(source, header)


def assuming(cache: TensorRTCache, version: Version) -> TensorRTCache:
    """The same cache with the version of a header that names none; any other stays as it is."""
    origin = origin_of(cache.header)
    if origin.algorithm == LEGACY or origin.tensorrt is not None:
        return cache
    return TensorRTCache(header_for(origin.algorithm, version), cache.scales)


def unfit_scales(cache: TensorRTCache) -> tuple[str, ...]:
    """The tensors whose scale is negative or not finite: TensorRT wrote them, and nothing can use them."""
    return tuple(tensor for tensor, scale in cache.scales.items() if not 0 <= scale <= LARGEST_SCALE)


def version_named(text: str) -> Version:
    """Read a TensorRT version that has calibrators: "8.5.1", "8.5.1.7" (the last part is dropped), "10.3".

    Raises SettingsError for anything else.
    """
    match = _VERSION.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise SettingsError(f"{text!r} is no TensorRT version; give one as 8.5.1 or 10.3")
    major, minor, patch = int(match[1]), int(match[2]), int(match[3] or 0)
    if major > LAST_WITH_CALIBRATORS:
        raise SettingsError(
            f"TensorRT {text} has no calibrators and reads no cache; "
            "make an explicit Q/DQ model of it: calibrant migrate"
        )
    if major < LAST_WITH_CALIBRATORS and minor > 9:
        raise SettingsError(f"there is no TensorRT {text}; give a version as 8.5.1 or 10.3")
    return major, minor, patch


def dumps(cache: TensorRTCache) -> str:
    """The file's text. Raises DataError for a name or scale that the format cannot hold."""
    lines = [cache.header]
    for name, scale in cache.scales.items():
        _require_name(name)
        _require_scale(name, scale)
        lines.append(f"{name}: {hex_of(scale)}")
    return "\n".join(lines) + "\n"


def loads(text: str, source: str = "the cache", any_scale: bool = False) -> TensorRTCache:
    """Read a cache's text; CRLF line ends are accepted. ``any_scale``: also scales that nothing can use.

    Raises DataError with the line number for an unknown header, a malformed, repeated or truncated
    line, and a scale that is not finite or is negative. A scale of zero is kept as it is.
    """
    *lines, rest = text.split("\n")
    header = (lines or [rest])[0].removesuffix("\r")
    origin_of(header, source)
    if rest:
        raise DataError(
            f"{source} ends inside a line, {rest[-_SHOWN:]!r}: it was cut off; "
            "copy it again, or end a last line that is whole with a line end"
        )
    scales: dict[str, float] = {}
    for number, line in enumerate(lines[1:], start=2):
        content = line.removesuffix("\r")
        if content:
            name, scale = _parsed(content, f"{source}, line {number}", any_scale)
            if name in scales:
                raise DataError(
                    f"{source}, line {number}: {name[:_SHOWN]!r} appears twice; keep one of the lines"
                )
            scales[name] = scale
    return TensorRTCache(header, scales)


def hex_of(scale: float) -> str:
    """A float32 scale as the cache writes it, e.g. ``3c010a14``."""
    return f"{int.from_bytes(struct.pack('>f', np.float32(scale)), 'big'):x}"


def scale_of(digits: str, where: str) -> float:
    """The float32 that 1 to 8 hex digits mean. Raises DataError for anything else."""
    if not _HEX.fullmatch(digits):
        raise DataError(f"{where}: {digits[:_SHOWN]!r} is no scale in hex, e.g. '3c010a14'")
    (scale,) = struct.unpack(">f", bytes.fromhex(digits.zfill(8)))
    return float(scale)


def threshold_of(scale: float) -> float:
    """The largest magnitude that is kept, real units: ``scale * 127``."""
    return scale * LARGEST_INTEGER


def not_a_cache(source: str, start: str) -> DataError:
    """The error for a file that begins in another way than a cache does."""
    return DataError(
        f"{source} is no TensorRT calibration cache: it begins with {start[:40]!r}, "
        "not e.g. 'TRT-8501-EntropyCalibration2'; give the file that TensorRT wrote"
    )


def _parsed(line: str, where: str, any_scale: bool) -> tuple[str, float]:
    name, separator, digits = line.rpartition(": ")
    if not (separator and name and "\r" not in name and _HEX.fullmatch(digits)):
        raise DataError(f"{where}: {line[:_SHOWN]!r} is not 'name: hex scale', e.g. 'input: 3c010a14'")
    scale = scale_of(digits, where)
    if not any_scale:
        _require_scale(name, scale, f"{where}: ")
    return name, scale


def _require_name(name: str) -> None:
    if not name or _UNFIT.search(name):
        raise DataError(
            f"tensor name {name[:_SHOWN]!r} does not fit on a cache line; rename it in the ONNX file"
        )


def _require_scale(name: str, scale: float, where: str = "") -> None:
    if not 0 <= scale <= LARGEST_SCALE:
        raise DataError(
            f"{where}tensor {name[:_SHOWN]!r} has scale {scale}, which is no finite positive number; "
            "calibrate again (calibrant cache show lists all such scales)"
        )


def _version_number(version: Version) -> int:
    major, minor, patch = version
    if major >= 10:
        return major * 10000 + minor * 100 + patch
    return major * 1000 + minor * 100 + patch


def _version_of(number: int) -> Version:
    major, rest = divmod(number, 10000 if number >= 100000 else 1000)
    return major, rest // 100, rest % 100


def _double_bits(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")


def _double(digits: str) -> float:
    (value,) = struct.unpack(">d", bytes.fromhex(digits.zfill(16)))
    return float(value)
