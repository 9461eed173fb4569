"""Recipes at work: they quantize products as the blocks come by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from calibrant.core.formats import Encoded, Format, Grid, PerBlock, PerChannel, grid_between
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.methods import InputStatistics as MethodStatistics
from calibrant.methods.registry import SumOfParts
from calibrant.models.checkpoint.caching import BlockCache, CacheStatistics, cache_scales, rounding_cache
from calibrant.models.checkpoint.gguf_writing import GgufWriter
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.norms import Folded, folded, norm_before
from calibrant.models.checkpoint.packing import QuantizedLayer
from calibrant.models.checkpoint.rounding import rounding_of, scaled_rounding
from calibrant.models.checkpoint.statistics import InputStatistics
from calibrant.models.checkpoint.streaming import QuantizedProduct
from calibrant.models.checkpoint.weights import Weights
from calibrant.models.checkpoint.writing import CheckpointWriter
from calibrant.studies.checkpoints.recipes import CheckpointRecipe, formats_fit
from calibrant.studies.checkpoints.rows import decoded_by_rows, encoded_by_rows


class Candidate:
    """A recipe for each layer, as the streams see it.

    recipes: by the layer's name; layers that read the same inputs have the same one. weights: where norms are
    looked up, into which scales of inputs are folded. writer: is given every quantized layer; None: none is
    kept. watch: is shown each weight, scaled as it was rounded, and what it became.
    """

    def __init__(
        self,
        name: str,
        recipes: Mapping[str, CheckpointRecipe],
        weights: Weights,
        writer: CheckpointWriter | GgufWriter | None = None,
        watch: Callable[[str, FloatArray, Encoded], None] | None = None,
    ) -> None:
        self._name, self._recipes, self._weights, self._writer = name, recipes, weights, writer
        self._watch = watch

    @property
    def name(self) -> str:
        """Unique in a study."""
        return self._name

    def quantize(
        self, weights: Mapping[str, FloatArray], statistics: InputStatistics | None
    ) -> dict[str, QuantizedProduct]:
        """Quantize products that read the same inputs; those that the format does not fit stay in float."""
        fitting = {name: weight for name, weight in weights.items() if self._fits(name, weight)}
        if not fitting:
            return {}
        recipe = self._recipes[next(iter(fitting))]
        assert recipe.formats.weights is not None, "what fits has a format"
        norm = norm_before(weights) if len(fitting) == len(weights) else None
        method = self._method(recipe, statistics, norm)
        encoded, scale = _encoded(method, fitting, recipe.formats.weights, statistics)
        fold = folded(self._weights, norm, scale) if norm is not None and scale is not None else None
        if self._watch is not None:
            for name, each in encoded.items():
                self._watch(name, fitting[name] if scale is None else fitting[name] * scale, each)
        return {name: self._product(name, each, statistics, fold) for name, each in encoded.items()}

    def cache(self, block: str, statistics: CacheStatistics | None, *, is_latent: bool) -> BlockCache | None:
        """Keys and values of a block in the format of its layers; without any token they stay in float."""
        layers = (name for name in self._recipes if name.startswith(f"{block}."))
        chosen = next((each for name in layers if (each := self._recipes[name].formats.cache)), None)
        if chosen is None or statistics is None:
            return None
        scales = cache_scales(chosen, statistics, is_latent=is_latent)
        if self._writer is not None:
            self._writer.cache(block, chosen, scales)
        return rounding_cache(chosen, scales)

    def finish_block(self, number: int) -> None:
        """Write the block."""
        if self._writer is not None:
            self._writer.finish_block(number)

    def _fits(self, name: str, weight: FloatArray) -> bool:
        chosen = self._recipes[name].formats if name in self._recipes else None
        return chosen is not None and formats_fit(chosen, (weight.shape[0], weight.shape[1]))

    def _method(
        self, recipe: CheckpointRecipe, statistics: InputStatistics | None, norm: str | None
    ) -> SumOfParts:
        """The recipe's, without what cannot be done here.

        What no token reached tells nothing of its inputs, and scales of inputs go where a norm can take them.
        """
        method = recipe.method
        if statistics is None:
            return replace(method, transform=None, rounding=None)
        return method if norm is not None and norm in self._weights else replace(method, transform=None)

    def _product(
        self, name: str, encoded: Encoded, statistics: InputStatistics | None, fold: Folded | None
    ) -> QuantizedProduct:
        stored = decoded_by_rows(encoded)
        ratio = None if fold is None else fold.ratio
        grid, rounding = self._inputs(self._recipes[name], statistics, ratio)
        if self._writer is not None:
            self._writer.add(name, QuantizedLayer(encoded, grid))
            if fold is not None:
                self._writer.replace(fold.norm, fold.values)
        if ratio is None:
            return QuantizedProduct(stored, rounding)
        if rounding is None:
            return QuantizedProduct(np.asarray(stored * ratio, np.float32))
        return QuantizedProduct(stored, scaled_rounding(rounding, ratio))

    def _inputs(
        self, recipe: CheckpointRecipe, statistics: InputStatistics | None, ratio: FloatArray | None
    ) -> tuple[Grid | None, Rounding | None]:
        inputs = recipe.formats.activations
        if inputs is None:
            return None, None
        if inputs.dynamic:
            return None, rounding_of(inputs)
        grid = _fixed_grid(recipe, inputs, statistics, ratio)
        return grid, None if grid is None else rounding_of(inputs, grid)


def _fixed_grid(
    recipe: CheckpointRecipe, inputs: Format, statistics: InputStatistics | None, ratio: FloatArray | None
) -> Grid | None:
    """From the calibrator's range; without any token there is none, and inputs stay in float.

    Scaled inputs were not seen: their range is that of the channels' largest magnitudes.
    """
    if statistics is None or statistics.values is None or recipe.calibrator is None:
        return None
    if ratio is not None:
        high = np.asarray((statistics.amax * ratio).max(), np.float32)
        return grid_between(-high, high, inputs)
    chosen = recipe.calibrator.calibrate(statistics.values, QuantSpec())
    return grid_between(np.asarray(chosen.low, np.float32), np.asarray(chosen.high, np.float32), inputs)


def _encoded(
    method: SumOfParts,
    weights: Mapping[str, FloatArray],
    chosen: Format,
    statistics: InputStatistics | None,
) -> tuple[dict[str, Encoded], FloatArray | None]:
    """Each weight's codes, and the scale of the inputs that they share.

    Stacked, weights share a factor of the second moments and their transform.
    """
    seen = MethodStatistics() if statistics is None else MethodStatistics(statistics.amax, statistics.moments)
    if isinstance(chosen.granularity, PerChannel | PerBlock) and (
        method.needs_moments or method.scales_inputs
    ):
        stacked = method(np.concatenate(list(weights.values())), chosen, seen)
        return _split(stacked.encoded, weights), stacked.input_scale
    plain = replace(method, transform=None)
    if method.rounding is None and isinstance(chosen.granularity, PerChannel | PerBlock):
        return {name: encoded_by_rows(plain, weight, chosen, seen) for name, weight in weights.items()}, None
    return {name: plain(weight, chosen, seen).encoded for name, weight in weights.items()}, None


def _split(encoded: Encoded, weights: Mapping[str, FloatArray]) -> dict[str, Encoded]:
    """A stack's rows, to each weight its own."""
    found, start, grid = {}, 0, encoded.grid
    for name, weight in weights.items():
        rows = slice(start, start + len(weight))
        offset = None if grid.offset is None else grid.offset[rows]
        found[name] = Encoded(encoded.codes[rows], replace(grid, scale=grid.scale[rows], offset=offset))
        start += len(weight)
    return found
