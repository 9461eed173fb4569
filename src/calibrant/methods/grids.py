"""Which grid a weight gets: the widest, or the one on which it loses least, each value rounded by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import E8M0, FloatArray
from calibrant.core.format_kernels import description
from calibrant.core.formats import (
    Format,
    Grid,
    PerTile,
    as_rows,
    decode,
    encode,
    extremes_of,
    grid_between,
    grid_of,
    with_steps,
)
from calibrant.methods import kernels

# Shares of the widest range that are tried, then steps on both sides of the best.
_COARSE = tuple(float(share) for share in np.arange(1.05, 0.375, -0.075))
_FINE = (0.0375, 0.01875)
_POWERS = (2.0, 0.5)

_Shares: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of the minima and of the maxima that are kept, each of the shape of the scales."""


def widest(weight: FloatArray, format: Format, importance: FloatArray | None = None) -> Grid:  # noqa: A002, ARG001
    """The grid that clips nothing: by minimum and maximum."""
    return grid_of(weight, format)


def least_squares(weight: FloatArray, format: Format, importance: FloatArray | None = None) -> Grid:  # noqa: A002
    """The grid of each block with the least squared error, of those that keep a share of its range.

    weight: (out, K). importance: how much a squared error at an input counts, (K,); all the same where there
    is none. What is tried is a scale that can be stored, the widest first. Raises as ``grid_of``.
    """
    search = _Search(weight, format, importance)
    if format.scale_type == E8M0:
        for power in _POWERS:
            search.try_shares(search.even(power))
        return search.best
    for share in (*_COARSE, *_native_shares(format)):
        search.try_shares(search.even(share))
    for step in _FINE:
        low, high = search.shares
        steps = (-step, step)
        if format.symmetric:
            tries = [(low + each, high + each) for each in steps]
        else:
            tries = [(low + each, high) for each in steps] + [(low, high + each) for each in steps]
        for shares in tries:
            search.try_shares(shares)
    return search.best


def squared_errors(weight: FloatArray, grid: Grid, importance: FloatArray | None = None) -> FloatArray:
    """What a weight (out, K) loses on a grid, each value rounded by itself, of the shape of the scales.

    Sums of squares, times ``importance`` (K,) where there is one.
    """
    worth = np.ones(weight.shape[-1], np.float32) if importance is None else importance
    rows = as_rows(weight, grid.format.granularity)
    if rows is None:
        return _summed(np.square(decode(encode(weight, grid.format, grid)) - weight) * worth, grid.format)
    offset = np.zeros_like(grid.scale) if grid.offset is None else grid.offset.astype(np.float32)
    zeros, bases = (np.zeros_like(offset), offset) if grid.format.minimum else (offset, np.zeros_like(offset))
    if rows.shape[1] > worth.size:  # one scale for the whole tensor
        worth = np.resize(worth, rows.shape[1])
    errors = np.empty(len(rows), np.float32)
    step, zeros, bases = (np.ascontiguousarray(each.reshape(-1)) for each in (grid.step, zeros, bases))
    limits = description(grid.format.element, grid.format.lowest)
    kernels.squared_errors(rows, np.ascontiguousarray(worth), step, zeros, bases, *limits, errors)
    return errors.reshape(grid.scale.shape)


class _Search:
    """The best grid so far, scale by scale."""

    def __init__(self, weight: FloatArray, format: Format, importance: FloatArray | None) -> None:  # noqa: A002
        self._weight, self._importance = weight, importance
        self._low, self._high = extremes_of(weight, format.granularity)
        self._amax = np.maximum(np.abs(self._low), np.abs(self._high))
        self.best = self._widest = grid_between(self._low, self._high, format)
        self._least = squared_errors(weight, self.best, importance)
        self.shares = self.even(1.0)

    def even(self, share: float) -> _Shares:
        """The same share of all minima and maxima."""
        return np.full(self._low.shape, share), np.full(self._high.shape, share)

    def try_shares(self, shares: _Shares) -> None:
        """Take over the scales that lose less."""
        tried = self._grid(shares)
        errors = squared_errors(self._weight, tried, self._importance)
        better = errors < self._least
        self._least = np.where(better, errors, self._least)
        self.shares = (
            np.where(better, shares[0], self.shares[0]),
            np.where(better, shares[1], self.shares[1]),
        )
        offset = tried.offset
        if offset is not None and self.best.offset is not None:
            offset = np.where(better, offset, self.best.offset)
        self.best = replace(self.best, scale=np.where(better, tried.scale, self.best.scale), offset=offset)

    def _grid(self, shares: _Shares) -> Grid:
        if self.best.format.symmetric:
            if self.best.format.scale_type == E8M0:
                return with_steps(self._widest, np.asarray(self._widest.step * shares[0], np.float32))
            divisors = np.asarray(self.best.format.reach / shares[0], np.float32)
            return with_steps(self._widest, np.asarray(self._amax / divisors, np.float32))
        low, high = np.asarray(self._low * shares[0]), np.asarray(self._high * shares[1])
        return grid_between(low.astype(np.float32), high.astype(np.float32), self.best.format)


def _native_shares(format: Format) -> tuple[float, ...]:  # noqa: A002
    """Those with which the largest magnitude is the lowest or highest integer: native grids."""
    if not format.symmetric or not format.element.is_integer or format.narrow:
        return ()
    return format.reach / format.highest, format.reach / -format.lowest


def _summed(errors: FloatArray, format: Format) -> FloatArray:  # noqa: A002
    granularity = format.granularity
    assert isinstance(granularity, PerTile), "everything else has rows"
    for axis, size in ((-2, granularity.rows), (-1, granularity.columns)):
        starts = np.arange(0, errors.shape[axis], size)
        errors = np.asarray(np.add.reduceat(errors, starts, axis), np.float32)
    return errors
