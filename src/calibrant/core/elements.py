"""Numbers of few bits: what a tensor's elements and its scales are stored as.

Integers, the OCP's 8-bit floats (E4M3 without infinities, E5M2) and the MX formats' E2M1 and E8M0.
Sources: OCP 8-bit Floating Point Specification 1.0; OCP Microscaling Formats (MX) Specification 1.0,
sections 5.3 and 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError, SettingsError

FloatArray: TypeAlias = NDArray[np.float32]
CodeArray: TypeAlias = NDArray[Any]  # int8 or uint8


@dataclass(frozen=True)
class ElementType:
    """What one value is stored as: an integer, or a float of sign, exponent and ``mantissa`` bits.

    lowest, highest: the smallest and largest finite value. least_exponent: of the smallest normal float.
    """

    name: str
    bits: int
    lowest: float
    highest: float
    mantissa: int | None = None
    least_exponent: int = 0

    @property
    def is_integer(self) -> bool:
        """Whether steps are equal all over the range."""
        return self.mantissa is None

    @property
    def is_signed(self) -> bool:
        """Whether there are negative values."""
        return self.lowest < 0

    @property
    def greatest_exponent(self) -> int:
        """Of the largest value: floor(log2(highest))."""
        return int(np.frexp(self.highest)[1]) - 1

    def round(self, values: FloatArray) -> FloatArray:
        """The nearest value of the type, float32: halves to even, saturated; NaN stays NaN."""
        given = np.asarray(values, np.float32)
        if self.mantissa is None:
            bounded = np.clip(np.rint(given), np.float32(self.lowest), np.float32(self.highest))
            return np.asarray(bounded, np.float32)
        bounded = np.clip(given, np.float32(self.lowest), np.float32(self.highest))
        quantum = np.ldexp(np.float32(1), self._exponents(bounded) - self.mantissa)
        return np.asarray(np.rint(bounded / quantum) * quantum, np.float32)

    def codes(self, rounded: FloatArray) -> CodeArray:
        """How values of the type are stored: integers themselves (int8, uint8), a float's bits (uint8)."""
        if self.bits > 8:
            raise SettingsError(f"{self.name} has more than 8 bits; store an element of 8 bits or fewer")
        if self.mantissa is None:
            return rounded.astype(np.int8) if self.is_signed else rounded.astype(np.uint8)
        exponents = self._exponents(rounded)
        steps = np.ldexp(np.abs(rounded), self.mantissa - exponents).astype(np.int32)
        magnitudes = ((exponents - self.least_exponent) << self.mantissa) + steps
        return (magnitudes + (np.signbit(rounded).astype(np.int32) << (self.bits - 1))).astype(np.uint8)

    def values(self, codes: CodeArray) -> FloatArray:
        """The values of stored codes, float32; NaN where a code is none of the type's numbers."""
        if self.mantissa is None:
            return codes.astype(np.float32)
        return np.asarray(self._table[codes], np.float32)

    @cached_property
    def _table(self) -> FloatArray:
        assert self.mantissa is not None
        code = np.arange(1 << self.bits)
        fields, sign = code & ((1 << self.bits - 1) - 1), code >> (self.bits - 1)
        exponent, fraction = fields >> self.mantissa, fields & ((1 << self.mantissa) - 1)
        whole = np.where(exponent > 0, fraction + (1 << self.mantissa), fraction)
        power = self.least_exponent - self.mantissa + np.maximum(exponent, 1) - 1
        magnitude = np.ldexp(whole.astype(np.float64), power)
        magnitude[magnitude > self.highest] = np.nan
        return np.asarray(np.where(sign == 1, -magnitude, magnitude), np.float32)

    def _exponents(self, values: FloatArray) -> NDArray[np.int32]:
        """floor(log2(magnitude)), not below that of the smallest normal."""
        exponents = np.where(values == 0, self.least_exponent, np.frexp(values)[1] - 1)
        found = np.maximum(exponents, self.least_exponent)
        return np.asarray(found, np.int32)


def _integer(name: str, bits: int, *, signed: bool = True) -> ElementType:
    lowest = -(1 << (bits - 1)) if signed else 0
    return ElementType(name, bits, lowest, lowest + (1 << bits) - 1)


INT3 = _integer("int3", 3)
INT4 = _integer("int4", 4)
INT8 = _integer("int8", 8)
UINT4 = _integer("uint4", 4, signed=False)
UINT8 = _integer("uint8", 8, signed=False)
INT32 = _integer("int32", 32)
E4M3 = ElementType("e4m3", 8, -448.0, 448.0, mantissa=3, least_exponent=-6)
E5M2 = ElementType("e5m2", 8, -57344.0, 57344.0, mantissa=2, least_exponent=-14)
E2M1 = ElementType("e2m1", 4, -6.0, 6.0, mantissa=1, least_exponent=0)

ELEMENTS = {each.name: each for each in (INT3, INT4, INT8, UINT4, UINT8, INT32, E4M3, E5M2, E2M1)}


def element_named(name: str) -> ElementType:
    """Look an element type up. Raises SettingsError with the known names."""
    try:
        return ELEMENTS[name]
    except KeyError:
        raise SettingsError(
            f"no element type is called {name!r}; known: {', '.join(sorted(ELEMENTS))}"
        ) from None


# --- what scales are stored as ---------------------------------------------------------------------

_BF16_DROPPED = 16
_E8M0_BIAS = 127  # of the exponent of a float32 as well


@dataclass(frozen=True)
class ScaleType:
    """What a scale is stored as: ``f32``, ``f16``, ``bf16``, ``e8m0`` (a power of two) or ``e4m3``."""

    name: str
    bits: int

    def round(self, scales: FloatArray) -> FloatArray:
        """The nearest scales of the type, float32; a power of two: the nearest exponent.

        What would be rounded to zero is the smallest number of the type instead: no scale is zero. Raises
        NumericsError where one is too large.
        """
        given = np.asarray(scales, np.float32)
        rounded = self._nearest(given)
        least = np.float32(_SMALLEST[self.name])
        rounded = np.where((rounded == 0) & (given != 0), np.copysign(least, given), rounded)
        if not np.isfinite(rounded).all():
            largest = float(np.abs(given).max())
            raise NumericsError(
                f"a scale of {largest:.3g} is too large for {self.name}; use a format with scales in f32"
            )
        return np.asarray(rounded, np.float32)

    def codes(self, scales: FloatArray) -> NDArray[Any]:
        """How scales of the type are stored: float32, float16, or bits in uint16 (bf16) and uint8."""
        given = np.asarray(scales, np.float32)
        if self.name == "f16":
            return given.astype(np.float16)
        if self.name == "bf16":
            return (given.view(np.uint32) >> _BF16_DROPPED).astype(np.uint16)
        if self.name == "e8m0":
            return (np.frexp(given)[1] - 1 + _E8M0_BIAS).astype(np.uint8)
        return E4M3.codes(given) if self.name == "e4m3" else given

    def _nearest(self, given: FloatArray) -> FloatArray:
        if self.name == "f16":
            with np.errstate(over="ignore"):
                return given.astype(np.float16).astype(np.float32)
        if self.name == "bf16":
            return _bf16(given)
        if self.name == "e8m0":
            exponents = np.rint(np.log2(np.maximum(given, np.float32(_SMALLEST["e8m0"]))))
            return np.ldexp(np.float32(1), exponents.astype(np.int32))
        if self.name == "e4m3":
            return np.where(np.abs(given) <= np.float32(E4M3.highest), E4M3.round(given), np.float32(np.inf))
        return given


def _bf16(values: FloatArray) -> FloatArray:
    bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
    odd = (bits >> _BF16_DROPPED) & 1
    rounded = (bits + 0x7FFF + odd) >> _BF16_DROPPED << _BF16_DROPPED
    return rounded.astype(np.uint32).view(np.float32).reshape(values.shape)


F32, F16, BF16 = ScaleType("f32", 32), ScaleType("f16", 16), ScaleType("bf16", 16)
E8M0, E4M3_SCALE = ScaleType("e8m0", 8), ScaleType("e4m3", 8)
SCALE_TYPES = {each.name: each for each in (F32, F16, BF16, E8M0, E4M3_SCALE)}

# Positive and, but for those that have no other, normal: a quotient by it stays finite.
_SMALLEST = {"f32": 2.0**-126, "f16": 2.0**-24, "bf16": 2.0**-126, "e8m0": 2.0**-126, "e4m3": 2.0**-9}
