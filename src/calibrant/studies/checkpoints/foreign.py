"""Checkpoints that another tool quantized, measured beside our own candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibrant.core.elements import E4M3, INT8
from calibrant.core.errors import ModelError
from calibrant.core.format_names import KV_CACHES
from calibrant.core.formats import Format, Granularity, Grid, PerBlock, PerTensor, PerToken
from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.caching import (
    BlockCache,
    CacheScales,
    CacheStatistics,
    cache_scales,
    rounding_cache,
)
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.norms import norm_before
from calibrant.models.checkpoint.rounding import rounding_of, scaled_rounding
from calibrant.models.checkpoint.statistics import InputStatistics
from calibrant.models.checkpoint.streaming import QuantizedProduct
from calibrant.models.checkpoint.weights import Weights


class ForeignCandidate:
    """Another checkpoint of the same model: its weights, its rounding of activations, its norms.

    Raises ModelError where it is of another architecture.
    """

    def __init__(self, name: str, checkpoint: Checkpoint, model: Checkpoint, weights: Weights) -> None:
        same = ("hidden_size", "num_hidden_layers", "vocab_size")
        differing = [key for key in same if checkpoint.config.get(key) != model.config.get(key)]
        if differing:
            raise ModelError(
                f"{checkpoint.folder} is another model than {model.folder}: its {differing[0]} is "
                f"{checkpoint.config.get(differing[0])}, not {model.config.get(differing[0])}"
            )
        self._name, self.checkpoint = name, checkpoint
        self._theirs, self._ours = Weights(checkpoint), weights
        self._inputs = _input_settings(checkpoint.quantization)

    @property
    def name(self) -> str:
        """As the user calls it."""
        return self._name

    def quantize(
        self, weights: Mapping[str, FloatArray], statistics: InputStatistics | None
    ) -> dict[str, QuantizedProduct]:
        """The other checkpoint's weights; its norm, where it differs from ours, counts with its readers."""
        del statistics
        ratio = self._ratio(norm_before(weights))
        return {name: self._product(name, weight.shape, ratio) for name, weight in weights.items()}

    def cache(self, block: str, statistics: CacheStatistics | None, *, is_latent: bool) -> BlockCache | None:
        """Keys and values as the other checkpoint says; with steps from calibration where it has none."""
        told = (self.checkpoint.quantization or {}).get("kv_cache_scheme")
        if not isinstance(told, dict):
            return None
        chosen = KV_CACHES["fp8" if told.get("type") == "float" else "int8"]
        names = [f"{block}.self_attn.{kind}" for kind in ("k_scale", "v_scale")]
        if all(name in self._theirs for name in names):
            keys, values = (float(self._theirs.values(name).reshape(-1)[0]) for name in names)
            return rounding_cache(chosen, CacheScales(keys, values))
        if statistics is None:
            return None
        return rounding_cache(chosen, cache_scales(chosen, statistics, is_latent=is_latent))

    def finish_block(self, number: int) -> None:
        """Nothing is written."""

    def _product(self, name: str, shape: tuple[int, ...], ratio: FloatArray | None) -> QuantizedProduct:
        full = f"{name}.weight"
        if full not in self._theirs:
            raise ModelError(f"{self.checkpoint.folder} has no tensor {full!r}; give a whole checkpoint")
        found = self._theirs.values(full)
        if found.shape != shape:
            raise ModelError(f"{full!r} of {self.checkpoint.folder} has shape {found.shape}, not {shape}")
        rounding = self._rounding(name)
        if ratio is None:
            return QuantizedProduct(found, rounding)
        if rounding is None:
            return QuantizedProduct(np.asarray(found * ratio, np.float32))
        return QuantizedProduct(found, scaled_rounding(rounding, ratio))

    def _ratio(self, norm: str | None) -> FloatArray | None:
        if norm is None or norm not in self._theirs or norm not in self._ours:
            return None
        ours, theirs = self._ours.values(norm), self._theirs.values(norm)
        if (ours == theirs).all():
            return None
        return np.divide(theirs, ours, out=np.ones_like(ours), where=ours != 0)

    def _rounding(self, name: str) -> Rounding | None:
        if self._inputs is None or not self._theirs.is_quantized(name):
            return None
        if self._inputs.dynamic:
            return rounding_of(self._inputs)
        scale = f"{name}.input_scale"
        if scale not in self._theirs:
            raise ModelError(f"{self.checkpoint.folder} has no tensor {scale!r}; give a whole checkpoint")
        return rounding_of(self._inputs, Grid(self._inputs, self._theirs.values(scale).reshape(())))


def _input_settings(quantization: Mapping[str, Any] | None) -> Format | None:
    """How inputs are rounded, from the first group of a compressed-tensors configuration."""
    groups = (quantization or {}).get("config_groups") or {}
    first: Any = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    told = first.get("input_activations") if isinstance(first, dict) else None
    if not isinstance(told, dict):
        return None
    elements = {("int", 8): INT8, ("float", 8): E4M3}
    element = elements.get((str(told.get("type")), int(told.get("num_bits", 0))))
    granularities: dict[str, Granularity] = {
        "token": PerToken(),
        "tensor": PerTensor(),
        "group": PerBlock(-1, int(told.get("group_size") or 128)),
    }
    granularity = granularities.get(str(told.get("strategy")))
    if element is None or granularity is None or not told.get("symmetric", True):
        raise ModelError(f"activations are rounded in a way that is not known here: {dict(told)}")
    return Format(element, granularity, dynamic=bool(told.get("dynamic")))
