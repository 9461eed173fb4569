"""Extremes and codes of rows of values: compiled (core/kernel_choice.py), or numpy's."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import ElementType, FloatArray
from calibrant.core.kernel_choice import NUMBA, VARIABLE, compiled_kernels_are_there

INTEGERS = -1
"""What the compiled kernels take for the mantissa of an integer."""


def description(element: ElementType, lowest: float) -> tuple[float, float, int, int]:
    """An element as the compiled kernels take it, from the ``lowest`` that is used."""
    mantissa = INTEGERS if element.mantissa is None else element.mantissa
    return float(lowest), float(element.highest), mantissa, element.least_exponent


def extremes_by_numpy(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Minimum and maximum of each row, (R,); both NaN where it holds NaN or an infinite value."""
    low, high = rows.min(axis=1), rows.max(axis=1)
    finite = np.isfinite(low) & np.isfinite(high)
    nan = np.float32(np.nan)
    return np.where(finite, low, nan), np.where(finite, high, nan)


def encoded_by_numpy(
    rows: FloatArray,
    steps: FloatArray,
    zeros: FloatArray,
    bases: FloatArray,
    element: ElementType,
    lowest: float,
) -> NDArray[Any]:
    """Codes of rows of finite values, (R, W); each with its step, zero point and minimum."""
    steps, zeros, bases = steps[:, None], zeros[:, None], bases[:, None]
    with np.errstate(over="ignore"):
        given = (rows - bases) / steps
    if element.is_integer:
        numbers = np.clip(np.rint(given), np.float32(lowest) - zeros, np.float32(element.highest) - zeros)
        return element.codes(numbers + zeros)
    return element.codes(element.round(given))


def _ready(rows: FloatArray) -> FloatArray:
    """The rows as the kernels read them: weights that lie in a mapped file may be unaligned."""
    return np.require(rows, np.float32, ["C", "A"])


def _extremes_compiled(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
    _format_kernels.extremes(_ready(rows), low, high)
    return low, high


def _encoded_compiled(
    rows: FloatArray,
    steps: FloatArray,
    zeros: FloatArray,
    bases: FloatArray,
    element: ElementType,
    lowest: float,
) -> NDArray[Any]:
    codes = np.empty(rows.shape, np.int8)
    step, zero, base = (np.ascontiguousarray(each, np.float32) for each in (steps, zeros, bases))
    limits = description(element, lowest)
    _format_kernels.encode(_ready(rows), step, zero, base, *limits, element.bits, codes)
    return codes if element.is_integer and element.is_signed else codes.view(np.uint8)


if os.environ.get(VARIABLE) != NUMBA and compiled_kernels_are_there():
    from calibrant.core import _format_kernels

    extremes, encoded = _extremes_compiled, _encoded_compiled
else:
    extremes, encoded = extremes_by_numpy, encoded_by_numpy
