"""Loops over columns in numpy: reference of _kernels.c, and what stands in for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
_INTEGERS = -1


def squared_errors(
    values: FloatArray,
    importance: FloatArray,
    steps: FloatArray,
    zeros: FloatArray,
    bases: FloatArray,
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    errors: FloatArray,
) -> None:
    """Sums of importance times squared error of rows ``values`` (R, W) on their grids, into ``errors``.

    importance: of whole rows, which repeat. steps, zeros, bases: (R,).
    """
    element = lowest, highest, mantissa, least_exponent
    step, zero, base = steps[:, None], zeros[:, None], bases[:, None]
    moved = values - base
    lost = moved - nearest(moved / step, zero, *element) * step
    worth = np.resize(importance, values.shape)
    errors[:] = _lane_sums(worth * (lost * lost))


def round_in_turn(
    given: FloatArray,
    moved: FloatArray,
    steps: FloatArray,
    zeros: FloatArray,
    bases: FloatArray,
    between: FloatArray,
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    lost: FloatArray,
) -> None:
    """Round columns in their order; each hands what it loses on, times ``between``, to those after it.

    given, moved: (R, W), the weights, and with what earlier columns handed on. Leaves in ``moved`` the
    weights as they are stored, in ``lost`` what of those given is lost.
    """
    for column in range(given.shape[1]):
        step, zero, base = (each[:, column] for each in (steps, zeros, bases))
        steps_away = (moved[:, column] - base) / step
        stored = nearest(steps_away, zero, lowest, highest, mantissa, least_exponent) * step + base
        moved[:, column] = stored
        lost[:, column] = given[:, column] - stored
        moved[:, column + 1 :] += lost[:, column, None] * between[column, column + 1 :]


def descend(
    stored: FloatArray,
    gradient: FloatArray,
    steps: FloatArray,
    zeros: FloatArray,
    bases: FloatArray,
    between: FloatArray,
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    lost: FloatArray,
) -> None:
    """Let each stored weight in turn go where its row loses least, the others as they are.

    stored, gradient: (R, W), changed: the weights on their grid, and what their rows lose times the second
    moments. between: these moments of the columns, (W, W). lost: what the changes take from each loss.
    """
    for column in range(stored.shape[1]):
        step, zero, base = (each[:, column] for each in (steps, zeros, bases))
        wanted = stored[:, column] + gradient[:, column] / between[column, column]
        steps_away = (wanted - base) / step
        better = nearest(steps_away, zero, lowest, highest, mantissa, least_exponent) * step + base
        lost[:, column] = stored[:, column] - better
        stored[:, column] = better
        gradient += lost[:, column, None] * between[column]


def nearest(
    steps: FloatArray, zero: FloatArray, lowest: float, highest: float, mantissa: int, least_exponent: int
) -> FloatArray:
    """Nearest numbers of an element, given in steps, less their zero points."""
    inside = np.clip(steps, np.float32(lowest) - zero, np.float32(highest) - zero)
    if mantissa == _INTEGERS:
        return np.asarray(np.rint(inside), np.float32)
    exponents = np.where(inside == 0, least_exponent, np.frexp(inside)[1] - 1)
    quantum = np.ldexp(np.float32(1), np.maximum(exponents, least_exponent) - mantissa)
    return np.asarray(np.rint(inside / quantum) * quantum, np.float32)


def _lane_sums(terms: FloatArray) -> FloatArray:
    """Sums of rows in the compiled kernel's order: sixteen side by side, what is left over into the first."""
    lanes = 16
    whole = terms.shape[1] // lanes * lanes
    sums = np.zeros((len(terms), lanes), np.float32)
    for start in range(0, whole, lanes):
        sums += terms[:, start : start + lanes]
    for column in range(whole, terms.shape[1]):
        sums[:, 0] += terms[:, column]
    while lanes > 1:
        lanes //= 2
        sums = sums[:, :lanes] + sums[:, lanes:]
    return sums[:, 0]
