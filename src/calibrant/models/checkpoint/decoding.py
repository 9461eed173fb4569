"""A whole model in memory that writes: for confirming, on answers, what teacher forcing has ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.batches import batches_of
from calibrant.models.checkpoint.caching import BlockCache, CacheObserver
from calibrant.models.checkpoint.observing import InputObserver
from calibrant.models.checkpoint.statistics import Wanted
from calibrant.models.checkpoint.streaming import Floats, QuantizedProduct, Quantizing, advance, groups_of

_ROWS = 16


@dataclass(frozen=True)
class QuantizedModel:
    """All of a candidate's products by name, and its caches by the block's number."""

    products: Mapping[str, QuantizedProduct]
    caches: Mapping[int, BlockCache]


def quantized_models(
    architecture: Architecture,
    calibration: Sequence[NDArray[np.int64]],
    candidates: Sequence[Quantizing],
    wanted: Wanted,
    progress: Progress,
) -> dict[str, QuantizedModel]:
    """Quantize whole models, all of them in one reading of the weights; they stay in memory."""
    products: dict[str, dict[str, QuantizedProduct]] = {each.name: {} for each in candidates}
    caches: dict[str, dict[int, BlockCache]] = {each.name: {} for each in candidates}
    with torch.inference_mode(), progress.stage("Models to decode with", architecture.blocks) as step:
        batches = batches_of(calibration, device=architecture.device)
        stream = architecture.embedded([batch.tokens for batch in batches])
        for number in range(architecture.blocks):
            block, observer, cached = architecture.block(number), InputObserver(wanted), CacheObserver()
            seen = cached if wanted.caches else None
            advance(architecture, block, number, batches, stream, observer, cache=seen)
            observer.forget_last()
            arrays = Floats.of(block).arrays
            for candidate in candidates:
                for leader, names in groups_of(block, observer):
                    weights = {name: arrays[name] for name in names}
                    products[candidate.name] |= candidate.quantize(weights, observer.statistics(leader))
                cache = candidate.cache(block.name, cached.statistics, is_latent=architecture.caches_latent)
                if cache is not None:
                    caches[candidate.name][number] = cache
            architecture.release(number)
            step()
    return {name: QuantizedModel(products[name], caches[name]) for name in products}


class Decoder:
    """Writes greedily, with the float model or a quantized one."""

    def __init__(self, architecture: Architecture) -> None:
        self._device = architecture.device
        self._model, self._products = architecture.whole()
        self._floats = {name: product.weight.data for name, product in self._products.items()}

    def written(
        self, prompts: Sequence[NDArray[np.int64]], most: int, model: QuantizedModel | None = None
    ) -> list[list[int]]:
        """The tokens that follow each prompt, at most ``most``, up to the text's end. model: None: float."""
        self._put(model)
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        found: list[list[int]] = [[] for _ in prompts]
        with torch.inference_mode():
            for begun in range(0, len(order), _ROWS):
                members = order[begun : begun + _ROWS]
                rows = self._generate([prompts[place] for place in members], most, model)
                for place, row in zip(members, rows, strict=True):
                    found[place] = row
        return found

    def _put(self, model: QuantizedModel | None) -> None:
        for name, product in self._products.items():
            made = None if model is None else model.products.get(name)
            product.round_inputs = None if made is None else made.round_inputs
            product.weight.data = (
                self._floats[name]
                if made is None or made.weight is None
                else torch.from_numpy(made.weight).to(self._device)
            )

    def _generate(
        self, prompts: Sequence[NDArray[np.int64]], most: int, model: QuantizedModel | None
    ) -> list[list[int]]:
        """Prompts padded on the left, as transformers wants them to go on from."""
        longest = max(map(len, prompts))
        tokens = np.zeros((len(prompts), longest), np.int64)
        mask = np.zeros_like(tokens)
        for row, prompt in enumerate(prompts):
            tokens[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
        more: dict[str, Any] = {}
        if model is not None and model.caches:
            more["past_key_values"] = _rounding(model.caches)
        ends = _ends_of(self._model)
        made = self._model.generate(
            torch.from_numpy(tokens).to(self._device),
            attention_mask=torch.from_numpy(mask).to(self._device),
            max_new_tokens=most, do_sample=False, num_beams=1, use_cache=True,
            pad_token_id=ends[0] if ends else 0, eos_token_id=ends or None, **more,
        )  # fmt: skip
        return [_until(row[longest:].tolist(), ends) for row in made]


def _ends_of(model: Any) -> list[int]:
    """Tokens that end a text."""
    told = model.generation_config.eos_token_id
    if told is None:
        told = model.config.eos_token_id
    return [] if told is None else list(told) if isinstance(told, list) else [int(told)]


def _until(row: list[int], ends: Sequence[int]) -> list[int]:
    place = next((place for place, token in enumerate(row) if token in ends), len(row))
    return row[: place + 1]


def _rounding(caches: Mapping[int, BlockCache]) -> Any:
    """Transformers' cache, with keys and values rounded on their way in."""
    from transformers import DynamicCache

    class Rounding(DynamicCache):
        def update(self, keys: Any, values: Any, layer_idx: int, *args: Any, **kwargs: Any) -> Any:
            if layer_idx in caches:
                keys, values = caches[layer_idx].update(keys, values)
            return super().update(keys, values, layer_idx, *args, **kwargs)

    return Rounding()
