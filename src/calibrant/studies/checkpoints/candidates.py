"""Recipes at work: they quantize products as the blocks come by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibrant.core.formats import Format, Grid, decode, grid_between
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.models.checkpoint.layers import CheckpointLayer
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.observing import InputStatistics
from calibrant.models.checkpoint.packing import QuantizedLayer
from calibrant.models.checkpoint.rounding import rounding_of
from calibrant.models.checkpoint.streaming import QuantizedProduct
from calibrant.models.checkpoint.writing import CheckpointWriter
from calibrant.studies.checkpoints.recipes import METHODS, Recipe, fits


class Candidate:
    """A recipe, as the streams see it. writer: is given every quantized layer; None: none is kept."""

    def __init__(
        self,
        recipe: Recipe,
        layers: Mapping[str, CheckpointLayer],
        writer: CheckpointWriter | None = None,
    ) -> None:
        self.recipe, self._layers, self._writer = recipe, layers, writer

    @property
    def name(self) -> str:
        """The recipe's."""
        return self.recipe.name

    def quantize(
        self, weights: Mapping[str, FloatArray], statistics: InputStatistics | None
    ) -> dict[str, QuantizedProduct]:
        """Quantize products that read the same inputs; those that the format does not fit stay in float."""
        return {
            name: self._quantized(name, weight, statistics)
            for name, weight in weights.items()
            if self._format_of(name) is not None
        }

    def finish_block(self, number: int) -> None:
        """Write the block."""
        if self._writer is not None:
            self._writer.finish_block(number)

    def _format_of(self, name: str) -> Format | None:
        layer, chosen = self._layers.get(name), self.recipe.formats.weights
        return chosen if layer is not None and chosen is not None and fits(chosen, layer.shape) else None

    def _quantized(
        self, name: str, weight: FloatArray, statistics: InputStatistics | None
    ) -> QuantizedProduct:
        chosen = self._format_of(name)
        assert chosen is not None
        # What no token reached tells nothing of its inputs: it is rounded to nearest.
        method = METHODS["rtn"] if statistics is None else self.recipe.method
        encoded = method.encode(weight, chosen, statistics)
        grid, rounding = self._inputs(statistics)
        if self._writer is not None:
            self._writer.add(name, QuantizedLayer(encoded, grid))
        return QuantizedProduct(decode(encoded), rounding)

    def _inputs(self, statistics: InputStatistics | None) -> tuple[Grid | None, Rounding | None]:
        inputs = self.recipe.formats.activations
        if inputs is None:
            return None, None
        if inputs.dynamic:
            return None, rounding_of(inputs)
        grid = self._fixed_grid(inputs, statistics)
        return grid, None if grid is None else rounding_of(inputs, grid)

    def _fixed_grid(self, inputs: Format, statistics: InputStatistics | None) -> Grid | None:
        """From the calibrator's range; without any token there is none, and inputs stay in float."""
        if statistics is None or statistics.values is None or self.recipe.calibrator is None:
            return None
        chosen = self.recipe.calibrator.calibrate(statistics.values, QuantSpec())
        return grid_between(np.asarray(chosen.low, np.float32), np.asarray(chosen.high, np.float32), inputs)
