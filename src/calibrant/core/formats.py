"""Number formats: how a tensor is stored in few bits, and what it then holds.

A :class:`Format` says what kind of number each value and each scale is, and which values share a scale. A
:class:`Grid` is what values can be stored as: scales, and zero points where they are not symmetric.
``encode`` rounds to a grid, to the widest one if none is given, and ``decode`` gives the real values back.
What cannot be done raises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core import format_kernels
from calibrant.core.elements import (
    BF16,
    E2M1,
    E4M3,
    E4M3_SCALE,
    E5M2,
    E8M0,
    F16,
    F32,
    INT3,
    INT4,
    INT8,
    INT32,
    UINT4,
    UINT8,
    CodeArray,
    ElementType,
    FloatArray,
    ScaleType,
    element_named,
)
from calibrant.core.errors import NumericsError, SettingsError
from calibrant.core.granularity import (
    PER_TENSOR,
    Granularity,
    PerBlock,
    PerChannel,
    PerTensor,
    PerTile,
    PerToken,
    as_rows,
    axis_of,
    scale_shape,
    spread,
)

__all__ = [
    "BF16",
    "E2M1",
    "E4M3",
    "E4M3_SCALE",
    "E5M2",
    "E8M0",
    "F16",
    "F32",
    "INT3",
    "INT4",
    "INT8",
    "INT32",
    "PER_TENSOR",
    "UINT4",
    "UINT8",
    "ElementType",
    "Encoded",
    "Format",
    "Granularity",
    "Grid",
    "PerBlock",
    "PerChannel",
    "PerTensor",
    "PerTile",
    "PerToken",
    "ScaleType",
    "as_rows",
    "decode",
    "element_named",
    "encode",
    "extremes_of",
    "grid_between",
    "grid_of",
    "largest_magnitudes",
    "scale_shape",
    "spread",
    "with_steps",
]


# --- formats ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """How a tensor is stored.

    symmetric: no zero point. narrow: without the lowest integer, so that the range is symmetric.
    minimum: a real minimum in place of a zero point, ``real = code * scale + minimum`` (GGUF's Q4_1).
    tensor_scale: a second scale for the whole tensor, by which the stored ones were multiplied (NVFP4).
    dynamic: scales are found anew for each input while the model runs.

    Raises SettingsError for a combination that cannot be stored.
    """

    element: ElementType
    granularity: Granularity = PER_TENSOR
    scale_type: ScaleType = F32
    symmetric: bool = True
    narrow: bool = False
    minimum: bool = False
    tensor_scale: bool = False
    dynamic: bool = False

    def __post_init__(self) -> None:
        for is_impossible, why in self._impossible():
            if is_impossible:
                raise SettingsError(why)

    def _impossible(self) -> list[tuple[bool, str]]:
        name = self.element.name
        needs_zero = self.element.is_integer and not self.element.is_signed
        return [
            (self.element.bits > 8, f"{name} is no format for tensors; use 8 bits or fewer"),
            (needs_zero and self.symmetric, f"{name} has no negative values; set symmetric=False"),
            (
                not self.element.is_integer and not (self.symmetric and not self.narrow),
                f"{name} is symmetric by itself and has no zero point; leave symmetric=True, narrow=False",
            ),
            (
                self.narrow and not self.symmetric,
                f"an asymmetric {name} uses all its integers; leave narrow=False",
            ),
            (
                self.minimum and (self.symmetric or not needs_zero),
                f"a real minimum goes with unsigned integers, e.g. uint4, symmetric=False; not {name}",
            ),
            (
                self.scale_type in (E8M0, E4M3_SCALE) and not self.symmetric,
                f"scales in {self.scale_type.name} go with symmetric formats; use f32, f16 or bf16",
            ),
            (
                self.tensor_scale
                and (self.scale_type != E4M3_SCALE or isinstance(self.granularity, PerTensor)),
                "a tensor scale goes with block scales in e4m3 (nvfp4); set tensor_scale=False",
            ),
            (
                self.dynamic and self.element == INT3,
                "int3 is for weights only; quantize activations in int8 or e4m3",
            ),
        ]

    @property
    def lowest(self) -> float:
        """The smallest number of the element that is used."""
        return self.element.lowest + (1 if self.narrow else 0)

    @property
    def highest(self) -> float:
        """The largest number of the element that is used."""
        return self.element.highest

    @property
    def reach(self) -> float:
        """How many steps the largest magnitude is from zero on the widest symmetric grid.

        Half the number of steps: all 16 levels of an INT4 are used, and its largest magnitude is off by half
        a step, as any other may be. Narrow integers and floats have it exactly.
        """
        return (self.highest - self.lowest) / 2

    def bits_per_value(self, shape: Sequence[int]) -> float:
        """Bits that a value of a tensor of ``shape`` takes, with its share of scales and zero points."""
        count, scales = math.prod(shape), math.prod(scale_shape(shape, self.granularity))
        offset = 0 if self.symmetric else self.scale_type.bits if self.minimum else self.element.bits
        return self.element.bits + (
            scales * (self.scale_type.bits + offset) + (F32.bits if self.tensor_scale else 0)
        ) / max(count, 1)


@dataclass(frozen=True)
class Grid:
    """What values can be stored as: ``real = (code - zero_point) * scale / tensor_scale``.

    scale: float32, of ``scale_shape``; numbers of the format's scale type. offset: of the same shape, zero
    points (integers of the element) or, where the format has a minimum, these (float32); None where it is
    symmetric. tensor_scale: what the stored scales were multiplied by, a float32; 1 without.
    """

    format: Format
    scale: FloatArray
    offset: NDArray[Any] | None = None
    tensor_scale: float = 1.0

    @property
    def step(self) -> FloatArray:
        """Real units of one step of the element, float32, of the shape of the scales."""
        if not self.format.tensor_scale:
            return self.scale
        return np.asarray(self.scale / np.float32(self.tensor_scale), np.float32)


@dataclass(frozen=True)
class Encoded:
    """Values as they are stored. codes: int8 or uint8, of the shape of the values; floats as their bits."""

    codes: CodeArray
    grid: Grid

    @property
    def format(self) -> Format:
        """How they are stored."""
        return self.grid.format


def grid_of(values: FloatArray, format: Format) -> Grid:  # noqa: A002
    """The widest grid that values need: by largest magnitude, or by minimum and maximum with zero between.

    A block of zeros has scale 1. Raises NumericsError for NaN and Inf, SettingsError for a shape that blocks
    do not fit.
    """
    given = np.asarray(values, np.float32)
    return grid_between(*extremes_of(given, format.granularity), format)


def grid_between(low: FloatArray, high: FloatArray, format: Format) -> Grid:  # noqa: A002
    """The widest grid for values from ``low`` to ``high``, real units, of the shape of the scales.

    Zero is within, but where the format has a minimum.

    E8M0: the power of two by which the largest magnitude, rounded to two bits of mantissa, has the element's
    greatest exponent (compressed-tensors, torchao). A tensor scale takes the largest scale to E4M3's largest
    number. Raises NumericsError for NaN and Inf.
    """
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise NumericsError("a tensor to be quantized holds NaN or Inf; look for the layer that makes it")
    if format.minimum:
        return _asymmetric_grid(low, high, format)
    if not format.symmetric:
        return _asymmetric_grid(np.minimum(low, 0), np.maximum(high, 0), format)
    amax = np.maximum(np.abs(low), np.abs(high))
    if format.scale_type == E8M0:
        return Grid(format, _power_of_two(amax, format.element))
    scale = np.asarray(amax / np.float32(format.reach), np.float32)
    if not format.tensor_scale:
        return Grid(format, _stored(scale, amax, format))
    most = np.float32(E4M3.highest * format.highest)
    largest = np.float32(amax.max(initial=0))
    with np.errstate(over="ignore"):
        factor = most / largest if largest > 0 else np.float32(1)
    factor = factor if np.isfinite(factor) else np.float32(1)
    bounded = np.minimum(factor * scale, np.float32(E4M3.highest))
    return Grid(format, _stored(bounded, amax, format), tensor_scale=float(factor))


def with_steps(grid: Grid, steps: FloatArray) -> Grid:
    """The grid whose scales are the nearest to ``steps`` (real units) that can be stored; else as it is."""
    limit = np.float32(E4M3.highest) if grid.format.tensor_scale else np.float32(np.inf)
    wanted = np.minimum(np.asarray(steps, np.float32) * np.float32(grid.tensor_scale), limit)
    return replace(grid, scale=grid.format.scale_type.round(wanted))


def encode(values: FloatArray, format: Format, grid: Grid | None = None) -> Encoded:  # noqa: A002
    """Round values to the nearest of a grid, halves to even, and saturate.

    values: float32, any shape. grid: the widest one where none is given. Raises NumericsError for NaN and
    Inf, SettingsError for a shape or grid that does not fit.
    """
    given = np.asarray(values, np.float32)
    chosen = grid_of(given, format) if grid is None else grid
    if chosen.format != format:
        raise SettingsError(f"the grid is of {chosen.format}, not of {format}; encode with its own format")
    if grid is not None and not np.isfinite(given).all():
        raise NumericsError("a tensor to be quantized holds NaN or Inf; look for the layer that makes it")
    expected = scale_shape(given.shape, format.granularity)
    if chosen.scale.shape != expected:
        raise SettingsError(
            f"values of shape {given.shape} need scales of shape {expected}, not {chosen.scale.shape}; "
            "make the grid from values of the same shape"
        )
    rows = as_rows(given, format.granularity)
    steps, offsets = _for_rows(chosen, given.shape, are_rows=rows is not None)
    none = np.zeros_like(steps)
    zeros, bases = (none, offsets) if format.minimum else (offsets, none)
    rows = given.reshape(-1, 1) if rows is None else rows
    codes = format_kernels.encoded(rows, steps, zeros, bases, format.element, format.lowest)
    return Encoded(codes.reshape(given.shape), chosen)


def decode(encoded: Encoded) -> FloatArray:
    """The real values of what is stored, float32."""
    numbers = encoded.format.element.values(encoded.codes)
    rows = as_rows(numbers, encoded.format.granularity)
    steps, offsets = _for_rows(encoded.grid, numbers.shape, are_rows=rows is not None)
    rows = numbers.reshape(-1, 1) if rows is None else rows
    if encoded.format.minimum:
        values = rows * steps[:, None] + offsets[:, None]
    elif encoded.grid.offset is not None:
        values = (rows - offsets[:, None]) * steps[:, None]
    else:
        values = rows * steps[:, None]
    return np.asarray(values.reshape(numbers.shape), np.float32)


def _for_rows(grid: Grid, shape: tuple[int, ...], *, are_rows: bool) -> tuple[FloatArray, FloatArray]:
    """Steps and offsets, one for each scale, or one for each value where values are no rows."""
    offset = np.zeros_like(grid.scale) if grid.offset is None else grid.offset.astype(np.float32)
    if are_rows:
        return grid.step.reshape(-1), offset.reshape(-1)
    step, spread_offset = (
        np.broadcast_to(spread(each, shape, grid.format.granularity), shape).reshape(-1)
        for each in (grid.step, offset)
    )
    return step, spread_offset


def largest_magnitudes(values: FloatArray, granularity: Granularity) -> FloatArray:
    """The largest magnitude of what shares a scale, of the shape of the scales. Raises as ``scale_shape``."""
    low, high = extremes_of(values, granularity)
    return np.maximum(np.abs(low), np.abs(high))


def extremes_of(values: FloatArray, granularity: Granularity) -> tuple[FloatArray, FloatArray]:
    """Minima and maxima of what shares a scale, of the shape of the scales. Raises as ``scale_shape``."""
    shape = scale_shape(values.shape, granularity)
    rows = as_rows(values, granularity)
    if rows is not None:
        low, high = format_kernels.extremes(rows)
        return low.reshape(shape), high.reshape(shape)
    if isinstance(granularity, PerTile):
        lows, highs = values, values
        for axis, size in ((-2, granularity.rows), (-1, granularity.columns)):
            starts = np.arange(0, values.shape[axis], size)
            lows, highs = np.minimum.reduceat(lows, starts, axis), np.maximum.reduceat(highs, starts, axis)
        return lows, highs
    if isinstance(granularity, PerBlock):
        axis = axis_of(values.shape, granularity)
        split = values.reshape(*values.shape[:axis], shape[axis], granularity.size, *values.shape[axis + 1 :])
        return split.min(axis=axis + 1), split.max(axis=axis + 1)
    if isinstance(granularity, PerTensor):
        return np.asarray(values.min(initial=0)), np.asarray(values.max(initial=0))
    if isinstance(granularity, PerToken):
        return values.min(axis=-1, keepdims=True, initial=0), values.max(axis=-1, keepdims=True, initial=0)
    axis = axis_of(values.shape, granularity)
    others = tuple(index for index in range(values.ndim) if index != axis)
    return (
        values.min(axis=others, keepdims=True, initial=0),
        values.max(axis=others, keepdims=True, initial=0),
    )


def _asymmetric_grid(low: FloatArray, high: FloatArray, format: Format) -> Grid:  # noqa: A002
    scale = _stored((high - low) / np.float32(format.highest - format.lowest), np.maximum(high, -low), format)
    if format.minimum:
        return Grid(format, scale, format.scale_type.round(low))
    zero = np.clip(np.rint(format.lowest - low / scale), format.lowest, format.highest)
    return Grid(format, scale, format.element.codes(np.asarray(zero, np.float32)))


def _stored(scale: FloatArray, amax: FloatArray, format: Format) -> FloatArray:  # noqa: A002
    positive = np.where((scale > 0) | (amax > 0), scale, np.float32(1))
    least = np.float32(np.finfo(np.float32).tiny)
    return format.scale_type.round(np.maximum(positive, least))


def _power_of_two(amax: FloatArray, element: ElementType) -> FloatArray:
    fraction, exponent = np.frexp(amax)
    exponent = np.where(fraction >= 0.875, exponent, exponent - 1) - element.greatest_exponent
    power = np.ldexp(np.float32(1), np.clip(exponent, -126, 127).astype(np.int32))
    return np.where(amax > 0, power, np.float32(1)).astype(np.float32)
