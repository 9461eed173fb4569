"""Which values of a tensor share a scale, and the shapes of these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import FloatArray
from calibrant.core.errors import SettingsError


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor."""


@dataclass(frozen=True)
class PerChannel:
    """One scale for each index along ``axis``."""

    axis: int


@dataclass(frozen=True)
class PerBlock:
    """One scale for each run of ``size`` values along ``axis``."""

    axis: int
    size: int


@dataclass(frozen=True)
class PerTile:
    """One scale for each tile of ``rows`` x ``columns`` of the last two axes; smaller ones at the edges."""

    rows: int
    columns: int


@dataclass(frozen=True)
class PerToken:
    """One scale for each vector along the last axis."""


Granularity: TypeAlias = PerTensor | PerChannel | PerBlock | PerTile | PerToken
PER_TENSOR = PerTensor()


def scale_shape(shape: Sequence[int], granularity: Granularity) -> tuple[int, ...]:
    """The shape of the scales of values of ``shape``: as many dimensions, 1 where all share one.

    Per tensor: (). Raises SettingsError where blocks do not divide their axis, or an axis is not there.
    """
    if isinstance(granularity, PerTensor):
        return ()
    if isinstance(granularity, PerToken):
        return (*shape[:-1], 1)
    if isinstance(granularity, PerTile):
        if len(shape) < 2:
            raise SettingsError(f"shape {tuple(shape)} has no tiles; use a format per tensor or per block")
        rows, columns = -(-shape[-2] // granularity.rows), -(-shape[-1] // granularity.columns)
        return (*shape[:-2], rows, columns)
    axis = axis_of(shape, granularity)
    if isinstance(granularity, PerChannel):
        return tuple(size if index == axis else 1 for index, size in enumerate(shape))
    if shape[axis] % granularity.size:
        raise SettingsError(
            f"blocks of {granularity.size} do not divide axis {axis} of shape {tuple(shape)}; "
            f"use a size that divides {shape[axis]}, or one scale a channel"
        )
    return tuple(size // granularity.size if index == axis else size for index, size in enumerate(shape))


def spread(scales: NDArray[Any], shape: Sequence[int], granularity: Granularity) -> NDArray[Any]:
    """Scales (of ``scale_shape``) repeated so that they broadcast against values of ``shape``."""
    if isinstance(granularity, PerBlock):
        return np.repeat(scales, granularity.size, axis=axis_of(shape, granularity))
    if isinstance(granularity, PerTile):
        tall = np.repeat(scales, granularity.rows, axis=-2)[..., : shape[-2], :]
        return np.repeat(tall, granularity.columns, axis=-1)[..., : shape[-1]]
    return scales


def axis_of(shape: Sequence[int], granularity: PerChannel | PerBlock) -> int:
    """The axis of values of ``shape``, from 0. Raises SettingsError where it is not there."""
    if not -len(shape) <= granularity.axis < len(shape):
        raise SettingsError(f"shape {tuple(shape)} has no axis {granularity.axis}; name one that it has")
    return granularity.axis % len(shape)


def as_rows(values: FloatArray, granularity: Granularity) -> FloatArray | None:
    """A view of float32 values with a row for each scale, in their order; None where there is none."""
    shape, scales = values.shape, scale_shape(values.shape, granularity)
    if not values.size or not values.flags.c_contiguous or values.dtype != np.float32:
        return None
    last = max((axis for axis, size in enumerate(scales) if size > 1), default=-1)
    inside_last = isinstance(granularity, PerBlock) and axis_of(shape, granularity) == len(shape) - 1
    if inside_last or (not isinstance(granularity, PerTile) and scales[: last + 1] == shape[: last + 1]):
        return values.reshape(math.prod(scales), -1)
    return None
