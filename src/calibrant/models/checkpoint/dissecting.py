"""Where a candidate's error comes from, block by block, in one reading of the weights.

The float model's stream and the candidate's cross each block; beside them the quantized block is given the
float stream (what it adds by itself) and the float block the candidate's (what it was handed), and parts of
the candidate are put in by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.progress import Progress
from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.architecture import Architecture, Block
from calibrant.models.checkpoint.batches import batches_of
from calibrant.models.checkpoint.caching import BlockCache, CacheObserver
from calibrant.models.checkpoint.crossing import ExpertCounts
from calibrant.models.checkpoint.observing import InputObserver
from calibrant.models.checkpoint.sensitivity import units_of
from calibrant.models.checkpoint.statistics import InputStatistics, Wanted
from calibrant.models.checkpoint.streaming import (
    Floats,
    Quantizing,
    advance,
    groups_of,
    put,
    relative_error,
    restore,
)

_SPARE = 1e-12


@dataclass(frozen=True)
class ProductLoss:
    """Of one product. error: of its outputs on calibration's inputs, a share of their power; None: not seen.

    channels: the inputs that lose most, and the share of the loss that each has. outliers: inputs whose
    largest magnitude is far above the others', and how many times the median. tokens: that calibration gave
    it.
    """

    name: str
    error: float | None
    channels: tuple[tuple[int, float], ...]
    outliers: tuple[tuple[int, float], ...]
    tokens: int


@dataclass(frozen=True)
class BlockLoss:
    """Squared errors of a block's output, shares of its power.

    total: behind all blocks so far; own: of the quantized block on float inputs; inherited: of the float
    block on the candidate's inputs. weights, inputs, cache: of these parts alone, on float inputs. groups: of
    products that are decided on together, alone, on float inputs, by their names.
    """

    name: str
    total: float
    own: float
    inherited: float
    weights: float
    inputs: float
    cache: float
    groups: tuple[tuple[tuple[str, ...], float], ...]
    products: tuple[ProductLoss, ...]


@dataclass(frozen=True)
class Dissection:
    """All blocks, and how many calibration tokens each expert was given, by the mixture's name."""

    blocks: tuple[BlockLoss, ...]
    routing: Mapping[str, NDArray[np.int64]]


def dissect(
    architecture: Architecture,
    calibration: Sequence[NDArray[np.int64]],
    documents: Sequence[NDArray[np.int64]],
    candidate: Quantizing,
    wanted: Wanted,
    progress: Progress,
) -> Dissection:
    """Take a candidate apart. calibration, documents: token numbers of each document."""
    with torch.inference_mode(), progress.stage("Dissection", architecture.blocks) as step:
        work = _Dissection(architecture, calibration, documents, candidate, wanted)
        found = []
        for number in range(architecture.blocks):
            found.append(work.block(number))
            step()
        return Dissection(tuple(found), work.routing.totals)


class _Dissection:
    def __init__(
        self,
        architecture: Architecture,
        calibration: Sequence[NDArray[np.int64]],
        documents: Sequence[NDArray[np.int64]],
        candidate: Quantizing,
        wanted: Wanted,
    ) -> None:
        self._architecture, self._candidate, self._wanted = architecture, candidate, wanted
        self._calibration, self._test = (
            batches_of(each, device=architecture.device) for each in (calibration, documents)
        )
        self.routing = ExpertCounts(len(calibration))
        tokens = [batch.tokens for batch in (*self._calibration, *self._test)]
        streams = architecture.embedded(tokens)
        self._seen = streams[: len(self._calibration)]
        self._entering = streams[len(self._calibration) :]
        self._theirs = list(self._entering)

    def block(self, number: int) -> BlockLoss:
        """Cross a block in every way."""
        block, observer, cached = (
            self._architecture.block(number),
            InputObserver(self._wanted),
            CacheObserver(),
        )
        advance(
            self._architecture, block, number, self._calibration, self._seen, observer, self.routing,
            cached if self._wanted.caches else None,
        )  # fmt: skip
        observer.forget_last()
        floats = Floats.of(block)
        cache = self._candidate.cache(
            block.name, cached.statistics, is_latent=self._architecture.caches_latent
        )
        leaving = self._crossed(block, number, self._entering)
        handed = self._crossed(block, number, self._theirs)

        def error(stream: list[torch.Tensor]) -> float:
            return relative_error(self._test, leaving, stream, self._candidate.name)

        def alone(change: Callable[[], object], cache: BlockCache | None = None) -> float:
            change()
            return error(self._crossed(block, number, self._entering, cache))

        groups = groups_of(block, observer)
        units = [
            (
                tuple(name for _, names in members for name in names),
                alone(lambda members=members: put(self._candidate, block, observer, floats, members)),  # type: ignore[misc]
            )
            for members in units_of(groups)
        ]
        put(self._candidate, block, observer, floats)
        quantized = {name: product.weight.data for name, product in block.products.items()}
        roundings = {name: product.round_inputs for name, product in block.products.items()}
        self._theirs = self._crossed(block, number, self._theirs, cache)
        own = error(self._crossed(block, number, self._entering, cache))
        for product in block.products.values():
            product.round_inputs = None
        weights = error(self._crossed(block, number, self._entering))
        restore(block, floats)
        inputs = 0.0
        if any(roundings.values()):
            for name, product in block.products.items():
                product.round_inputs = roundings[name]
            inputs = error(self._crossed(block, number, self._entering))
            restore(block, floats)
        cache_alone = 0.0 if cache is None else error(self._crossed(block, number, self._entering, cache))
        products = tuple(
            _product_loss(name, floats.tensors[name], quantized[name], observer.statistics(leader))
            for leader, names in groups
            for name in names
        )
        found = BlockLoss(
            block.name,
            error(self._theirs),
            own,
            error(handed),
            weights,
            inputs,
            cache_alone,
            tuple(units),
            products,
        )
        self._entering = leaving
        self._candidate.finish_block(number)
        self._architecture.release(number)
        return found

    def _crossed(
        self, block: Block, number: int, stream: Sequence[torch.Tensor], cache: BlockCache | None = None
    ) -> list[torch.Tensor]:
        found = list(stream)
        advance(self._architecture, block, number, self._test, found, cache=cache)
        return found


_TELLING = 3
_OUTLIER = 12.0
"""Times the median of all channels' largest magnitudes."""


def _product_loss(
    name: str, weight: torch.Tensor, stored: torch.Tensor, statistics: InputStatistics | None
) -> ProductLoss:
    if statistics is None or statistics.moments is None:
        return ProductLoss(name, None, (), (), 0 if statistics is None else statistics.tokens)
    moments = torch.from_numpy(statistics.moments).to(weight.device)
    lost = weight - stored
    power = float(((weight @ moments) * weight).sum(dtype=torch.float64))
    error = float(((lost @ moments) * lost).sum(dtype=torch.float64))
    by_channel = (lost.square().sum(0) * moments.diagonal()).cpu().numpy()
    total = float(by_channel.sum())
    order = np.argsort(-by_channel, kind="stable")[:_TELLING]
    channels = tuple((int(k), float(by_channel[k]) / max(total, _SPARE)) for k in order) if total > 0 else ()
    return ProductLoss(
        name, error / max(power, _SPARE), channels, _outliers(statistics.amax), statistics.tokens
    )


def _outliers(amax: FloatArray) -> tuple[tuple[int, float], ...]:
    """Channels far above the others, the furthest first."""
    middle = float(np.median(amax))
    if middle <= 0:
        return ()
    order = np.argsort(-amax, kind="stable")[:_TELLING]
    return tuple((int(k), float(amax[k]) / middle) for k in order if amax[k] > _OUTLIER * middle)
