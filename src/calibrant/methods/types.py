"""What methods take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import FloatArray
from calibrant.core.errors import SettingsError
from calibrant.core.formats import Encoded, Format, Grid, decode


@dataclass(frozen=True)
class InputStatistics:
    """What calibration says of a layer's K inputs.

    amax: largest magnitudes, (K,). second_moments: mean of ``x x'``, (K, K). None: not measured.
    """

    amax: FloatArray | None = None
    second_moments: NDArray[np.floating] | None = None

    def require_amax(self, method: str) -> FloatArray:
        """Largest magnitudes. Raises SettingsError where they were not measured."""
        if self.amax is None:
            raise SettingsError(
                f"{method} needs the inputs' largest magnitudes; calibrate, or choose rtn or mse"
            )
        return np.asarray(self.amax, np.float32)

    def require_moments(self, method: str) -> FloatArray:
        """Second moments, float32. Raises SettingsError where they were not measured."""
        if self.second_moments is None:
            raise SettingsError(f"{method} needs the inputs' second moments; calibrate, or choose rtn or mse")
        return np.asarray(self.second_moments, np.float32)

    @property
    def importance(self) -> FloatArray | None:
        """How much a change of a weight matters by its input: the mean square of each, (K,)."""
        if self.second_moments is None:
            return None
        return np.ascontiguousarray(np.diagonal(self.second_moments), np.float32)


NOTHING = InputStatistics()


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight as it is stored.

    input_scale: (K,), by which the columns of the weight were multiplied before they were rounded: what makes
    the inputs (a norm, the layer before) has to divide them by it. None: as they are.
    """

    encoded: Encoded
    input_scale: FloatArray | None = None

    def effective(self) -> FloatArray:
        """The weight that the layer's own inputs meet, (out, K)."""
        stored = decode(self.encoded)
        return stored if self.input_scale is None else stored / self.input_scale


GridOf: TypeAlias = Callable[[FloatArray, Format, FloatArray | None], Grid]
"""(weight (out, K), format, how much an error at an input counts (K,)) -> the grid to round on."""


class Method(Protocol):
    """Rounds one weight: pure, the same bits each time.

    weight: (out, K) float32, K inputs. Layers that read the same inputs may be stacked along ``out``: then
    they share a transform. format: how it is to be stored. Raises SettingsError for what it cannot do.
    """

    def __call__(self, weight: FloatArray, format: Format, inputs: InputStatistics = ...) -> QuantizedWeight:  # noqa: A002
        """Round a weight."""
        ...


@dataclass(frozen=True)
class Spread:
    """A grid's parameters for each column of each row, (rows, K): what a loop over columns needs."""

    steps: FloatArray
    zeros: FloatArray
    bases: FloatArray

    @staticmethod
    def of(grid: Grid, shape: tuple[int, ...]) -> Spread:
        """Spread a grid over values of ``shape``."""
        from calibrant.core.formats import spread

        granularity = grid.format.granularity
        offset = np.zeros_like(grid.scale) if grid.offset is None else grid.offset.astype(np.float32)
        step, offset = (
            np.broadcast_to(np.asarray(spread(each, shape, granularity), np.float32), shape)
            for each in (grid.step, offset)
        )
        none = np.broadcast_to(np.float32(0), shape)
        return Spread(step, none, offset) if grid.format.minimum else Spread(step, offset, none)

    def taken(self, columns: NDArray[np.intp] | slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of some columns: contiguous."""
        steps, zeros, bases = (
            np.ascontiguousarray(each[:, columns]) for each in (self.steps, self.zeros, self.bases)
        )
        return steps, zeros, bases
