"""How a weight is rounded on its grid: to the nearest, or so that the layer's outputs change least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import E8M0, FloatArray
from calibrant.core.error_feedback import BLOCK, DAMPING, damped, feedback, hand_on
from calibrant.core.errors import SettingsError
from calibrant.core.format_kernels import description
from calibrant.core.formats import Encoded, Format, Grid, PerBlock, decode, encode, with_steps
from calibrant.methods import kernels
from calibrant.methods.types import GridOf, InputStatistics, Spread

SWEEPS = 4
"""How often ``descent`` goes over all columns, at most."""


def nearest(weight: FloatArray, format: Format, grid_of: GridOf, inputs: InputStatistics) -> Encoded:  # noqa: A002
    """Each value to the nearest of the grid; an error counts by the mean square of its input."""
    return encode(weight, format, grid_of(weight, format, inputs.importance))


def gptq(weight: FloatArray, format: Format, grid_of: GridOf, inputs: InputStatistics) -> Encoded:  # noqa: A002
    """Columns in turn, largest inputs first, each handing on what it loses (core/error_feedback.py).

    For the grid an error counts by what the columns that follow cannot make up for.
    """
    turns = _Turns(damped(inputs.require_moments("gptq"), DAMPING))
    grid = grid_of(weight, format, turns.importance)
    return encode(weight - turns.lost(weight, grid), format, grid)


def descent(weight: FloatArray, format: Format, grid_of: GridOf, inputs: InputStatistics) -> Encoded:  # noqa: A002
    """gptq, then each value and each block's scale in turn to where the layer's outputs change least.

    A row starts from ``nearest`` where gptq loses more: it never ends with more than that, in second moments
    as damped for gptq. Coordinate descent over integers: K. Behdin et al., QuantEase, 2023; over scales: its
    closed form, where blocks have scales of their own and these are no powers of two.
    """
    moments = damped(inputs.require_moments("descent"), DAMPING)
    turns = _Turns(moments)
    grid = grid_of(weight, format, turns.importance)
    lost = turns.lost(weight, grid)
    plain = weight - decode(encode(weight, format, grid))
    slope, plain_slope = lost @ moments, plain @ moments
    worse = (lost * slope).sum(axis=1) > (plain * plain_slope).sum(axis=1)
    lost[worse], slope[worse] = plain[worse], plain_slope[worse]
    state = _Descent(weight - lost, slope, grid, moments)
    for _ in range(SWEEPS):
        if not state.sweep():
            break
    return encode(state.stored, format, state.grid)


def output_errors(
    weight: FloatArray, stored: FloatArray, moments: NDArray[np.floating]
) -> NDArray[np.float64]:
    """What each output loses on average, squared: ``e H e'`` for each row, (out,)."""
    lost = np.asarray(weight, np.float64) - stored
    return np.asarray(((lost @ np.asarray(moments, np.float64)) * lost).sum(axis=1))


class _Turns:
    """The order in which columns are rounded, and what each hands on."""

    def __init__(self, moments: FloatArray) -> None:
        self._order = np.argsort(-np.diagonal(moments), kind="stable")
        self._between, counts = feedback(moments[np.ix_(self._order, self._order)])
        self.importance = np.empty_like(counts)
        self.importance[self._order] = counts

    def lost(self, weight: FloatArray, grid: Grid) -> FloatArray:
        """What each weight loses, (out, K)."""
        spread = Spread.of(grid, weight.shape)
        limits = description(grid.format.element, grid.format.lowest)

        def round_block(columns: slice, wanted: FloatArray, between: FloatArray) -> FloatArray:
            chosen = self._order[columns]
            lost = np.empty_like(wanted)
            given, moved = np.ascontiguousarray(weight[:, chosen]), np.ascontiguousarray(wanted)
            step, zero, base = spread.taken(chosen)
            inside = np.ascontiguousarray(between)
            kernels.round_in_turn(given, moved, step, zero, base, inside, *limits, lost)
            return lost

        lost = np.empty_like(weight)
        lost[:, self._order] = hand_on(weight[:, self._order], self._between, round_block)
        return lost


@dataclass
class _Descent:
    """A weight on its grid, and the slope of its loss: what it loses times the second moments."""

    stored: FloatArray
    slope: FloatArray
    grid: Grid
    moments: FloatArray

    def sweep(self) -> bool:
        """Go over all columns once; whether anything has changed."""
        width = self._width()
        limits = description(self.grid.format.element, self.grid.format.lowest)
        changed = False
        for start in range(0, self.stored.shape[1], width):
            columns = slice(start, min(start + width, self.stored.shape[1]))
            between = np.ascontiguousarray(self.moments[columns, columns])
            slope = np.ascontiguousarray(self.slope[:, columns])
            stored = np.ascontiguousarray(self.stored[:, columns])
            before = stored.copy()
            self._refit(columns, stored, slope, between)
            step, zero, base = Spread.of(self.grid, self.stored.shape).taken(columns)
            kernels.descend(stored, slope, step, zero, base, between, *limits, np.empty_like(stored))
            change = before - stored
            if change.any():
                changed = True
                self.stored[:, columns] = stored
                self.slope += change @ self.moments[columns]
        return changed

    def _width(self) -> int:
        granularity = self.grid.format.granularity
        if not isinstance(granularity, PerBlock):
            return BLOCK
        return max(granularity.size, BLOCK // granularity.size * granularity.size)

    def _refit(self, columns: slice, stored: FloatArray, slope: FloatArray, between: FloatArray) -> None:
        """Scales of the blocks in these columns: where the row loses least, the integers as they are."""
        form, granularity = self.grid.format, self.grid.format.granularity
        if not isinstance(granularity, PerBlock) or form.scale_type == E8M0 or form.minimum:
            return
        size = granularity.size
        for start in range(0, stored.shape[1], size):
            own = slice(start, start + size)
            block = (columns.start + start) // size
            step = self.grid.step[:, block]
            numbers = stored[:, own] / step[:, None]
            rise = (slope[:, own] * numbers).sum(axis=1)
            bend = ((numbers @ between[own, own]) * numbers).sum(axis=1)
            wanted = np.where(bend > 0, step + rise / np.where(bend > 0, bend, 1), step)
            wanted = np.where(wanted > step / 2, wanted, step)
            tried = with_steps(self.grid, np.broadcast_to(wanted[:, None], self.grid.scale.shape)).scale[
                :, block
            ]
            change = tried / np.float32(self.grid.tensor_scale) - step
            better = change * (2 * rise - change * bend) > 0
            self.grid.scale[better, block] = tried[better]
            change = np.where(better, change, 0).astype(np.float32)
            stored[:, own] += change[:, None] * numbers
            slope -= (change[:, None] * numbers) @ between[own]


def require_along_inputs(format: Format) -> None:  # noqa: A002
    """Raise SettingsError for a format whose blocks do not lie along a weight's inputs."""
    if isinstance(format.granularity, PerBlock) and format.granularity.axis not in (-1, 1):
        raise SettingsError("blocks of a weight lie along its inputs; use PerBlock(-1, size)")
