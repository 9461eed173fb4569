"""Keys and values that attention caches: what is seen of them in float, and rounding them as a runtime does.

transformers hands them to a cache while a block is crossed: to ours, which gives them back. Of attention with
a latent (DeepSeek) they are the latent and the rotated part of the keys, and share one scale, as in vLLM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from calibrant.core.formats import Format, Grid, grid_between
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.rounding import rounding_of


@dataclass(frozen=True)
class CacheStatistics:
    """The largest magnitudes of a block's cached keys and values over real calibration tokens."""

    keys: float
    values: float


@dataclass(frozen=True)
class CacheScales:
    """One step of a block's cached keys and values, real units: vLLM's ``k_scale`` and ``v_scale``."""

    keys: float
    values: float


class BlockCache:
    """Takes the place of transformers' cache while a block is crossed."""

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What attention computes with, (batch, heads, length, width) each."""
        raise NotImplementedError


class CacheObserver(BlockCache):
    """Remembers the largest magnitudes of a block's keys and values.

    ``real`` marks the tokens of the batch at work that are no padding, (batch * length,); None: all are.
    """

    def __init__(self) -> None:
        self.real: torch.Tensor | None = None
        self._keys = self._values = 0.0
        self._seen = False

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Look, and give them back."""
        self._seen = True
        self._keys = max(self._keys, self._largest(keys))
        self._values = max(self._values, self._largest(values))
        return keys, values

    @property
    def statistics(self) -> CacheStatistics | None:
        """What was seen; None: nothing."""
        return CacheStatistics(self._keys, self._values) if self._seen else None

    def _largest(self, states: torch.Tensor) -> float:
        by_token = states.abs().amax(dim=(1, 3)).flatten()
        return float((by_token if self.real is None else by_token[self.real]).max())


class RoundingCache(BlockCache):
    """Gives keys and values back as they are after having been stored in few bits."""

    def __init__(self, keys: Rounding, values: Rounding) -> None:
        self._keys, self._values = keys, values

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Round both."""
        return self._keys(keys), self._values(values)


def cache_scales(chosen: Format, statistics: CacheStatistics, *, is_latent: bool) -> CacheScales:
    """The steps with which nothing that calibration saw is clipped. is_latent: both share one."""
    largest = max(statistics.keys, statistics.values)
    keys, values = (largest, largest) if is_latent else (statistics.keys, statistics.values)
    return CacheScales(_step(chosen, keys), _step(chosen, values))


def rounding_cache(chosen: Format, scales: CacheScales) -> RoundingCache:
    """A cache in a format of one fixed scale each."""
    return RoundingCache(_rounding(chosen, scales.keys), _rounding(chosen, scales.values))


def _step(chosen: Format, largest: float) -> float:
    high = np.asarray(largest, np.float32)
    return float(grid_between(-high, high, chosen).step)


def _rounding(chosen: Format, step: float) -> Rounding:
    return rounding_of(chosen, Grid(chosen, np.asarray(step, np.float32)))
