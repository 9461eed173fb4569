"""All candidates side by side in one reading of the weights, block by block.

Inside a block the calibration tokens cross it in float while statistics of its inputs are taken; then every
candidate's weights are made of them, and its stream of test tokens crosses the block with these. Statistics
and weights go with the block; what stays is one stream for each candidate.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.machine import usable_cores
from calibrant.core.progress import Progress
from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.architecture import Architecture, Block
from calibrant.models.checkpoint.batches import Batch, batches_of
from calibrant.models.checkpoint.caching import BlockCache, CacheObserver, CacheStatistics
from calibrant.models.checkpoint.crossing import ExpertCounts, Watcher
from calibrant.models.checkpoint.keeping import (
    DiskStream,
    Stream,
    StreamKeeper,
    batches_in,
    bytes_of,
    load_batch,
    save_batch,
)
from calibrant.models.checkpoint.logits import Comparison, compare_logits
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.observing import InputObserver
from calibrant.models.checkpoint.statistics import InputStatistics, Wanted
from calibrant.models.checkpoint.threading import fastest_threads, torch_threads


@dataclass(frozen=True)
class QuantizedProduct:
    """What a candidate puts in a product's place.

    weight: the values that are computed with, float32, outputs x inputs; None: the float model's.
    round_inputs: rounds its inputs; None: they stay.
    """

    weight: FloatArray | None
    round_inputs: Rounding | None = None


class Quantizing(Protocol):
    """A candidate, as the streams see it."""

    @property
    def name(self) -> str:
        """Unique among the candidates of a study."""
        ...

    def quantize(
        self, weights: Mapping[str, FloatArray], statistics: InputStatistics | None
    ) -> Mapping[str, QuantizedProduct]:
        """Quantize products that read the same inputs, by name; those left out stay in float.

        ``statistics`` are None where no calibration token came by.
        """
        ...

    def cache(self, block: str, statistics: CacheStatistics | None, *, is_latent: bool) -> BlockCache | None:
        """What takes a block's keys and values; None: they stay. block: its name in the checkpoint."""
        ...

    def finish_block(self, number: int) -> None:
        """All products of a block have been quantized."""
        ...


@dataclass(frozen=True)
class Growth:
    """The relative error of a candidate's stream behind each block: squared, by blocks."""

    by_block: tuple[float, ...]


CALIBRATION, REFERENCE = "calibration", "reference"


@dataclass
class Streams:
    """The streams between two blocks, by name: calibration, the float model's, and each candidate's."""

    by_name: dict[str, Stream]
    errors: dict[str, list[float]]
    next_block: int = 0

    @property
    def calibration(self) -> Stream:
        """In float, of the calibration set."""
        return self.by_name[CALIBRATION]

    @property
    def reference(self) -> Stream:
        """In float, of the test set."""
        return self.by_name[REFERENCE]


@dataclass(frozen=True)
class StreamEvidence:
    """What one reading of the weights found.

    ``comparisons`` hold each candidate's logits against the float model's by document, ``growth`` its error
    behind each block. ``calibration_routing`` and ``test_routing`` count, in float, how many tokens each
    expert was given, by the mixture's name. began_at: the block that a run which was cut off went on from.
    """

    reference_nll: NDArray[np.float64]
    tokens: NDArray[np.int64]
    comparisons: Mapping[str, Comparison]
    growth: Mapping[str, Growth]
    calibration_routing: Mapping[str, NDArray[np.int64]]
    test_routing: Mapping[str, NDArray[np.int64]]
    began_at: int = 0


def measure(
    architecture: Architecture,
    calibration: Sequence[NDArray[np.int64]],
    test: Sequence[NDArray[np.int64]],
    scored_from: Sequence[int],
    candidates: Sequence[Quantizing],
    wanted: Wanted,
    progress: Progress,
    keeper: StreamKeeper | None = None,
) -> StreamEvidence:
    """Read the weights once and measure every candidate against the float model.

    calibration, test: token numbers of each document. scored_from: the first token of each test document
    whose prediction counts, at least 1. keeper: keeps the streams behind every block, and a run that was cut
    off goes on there; None: streams are in memory only. Raises NumericsError where a stream is no longer
    finite.
    """
    with torch.inference_mode(), torch_threads(fastest_threads(architecture.width)):
        return _Study(architecture, calibration, test, scored_from, candidates, wanted, keeper).run(progress)


class _Study:
    """One reading: what all blocks need."""

    def __init__(
        self,
        architecture: Architecture,
        calibration: Sequence[NDArray[np.int64]],
        test: Sequence[NDArray[np.int64]],
        scored_from: Sequence[int],
        candidates: Sequence[Quantizing],
        wanted: Wanted,
        keeper: StreamKeeper | None,
    ) -> None:
        self._architecture, self._candidates, self._wanted = architecture, candidates, wanted
        self._calibration = batches_of(calibration, device=architecture.device)
        self._test = batches_of(test, device=architecture.device)
        self._scored_from, self._documents, self._keeper = scored_from, len(test), keeper
        self._calibration_routing, self._routing = ExpertCounts(len(calibration)), ExpertCounts(len(test))

    def run(self, progress: Progress) -> StreamEvidence:
        streams = self._begun(progress)
        began_at = streams.next_block
        with progress.stage("Blocks", self._architecture.blocks) as step:
            for _ in range(began_at):
                step()
            for number in range(began_at, self._architecture.blocks):
                self._cross_block(number, streams)
                self._keep(streams)
                step()
        return self._compared(streams, began_at)

    def _compared(self, streams: Streams, began_at: int) -> StreamEvidence:
        del streams.by_name[CALIBRATION]
        reference = streams.by_name.pop(REFERENCE)
        comparisons, nll, tokens = compare_logits(
            self._architecture, self._test, reference, streams.by_name, self._scored_from, self._documents
        )
        if self._keeper is not None:
            self._keeper.forget()
        return StreamEvidence(
            nll,
            tokens,
            comparisons,
            {name: Growth(tuple(errors)) for name, errors in streams.errors.items()},
            self._calibration_routing.totals,
            self._routing.totals,
            began_at,
        )

    @property
    def _names(self) -> list[str]:
        return [CALIBRATION, REFERENCE, *(candidate.name for candidate in self._candidates)]

    def _begun(self, progress: Progress) -> Streams:
        found = None if self._keeper is None else self._keeper.progressed()
        if self._keeper is None or found is None:
            if self._keeper is not None:
                self._keeper.begin()
            return self._at_the_beginning()
        progress.note(f"going on from block {found.next_block} of {self._architecture.blocks}")
        for counts, name in ((self._calibration_routing, "calibration_routing"), (self._routing, "routing")):
            arrays = found.notes[name].items()
            counts.by_document = {mixture: np.array(values, np.int64) for mixture, values in arrays}
        errors = {name: list(map(float, values)) for name, values in found.notes["errors"].items()}
        streams = Streams({}, errors, found.next_block)
        for place, name in enumerate(self._names):
            folder = self._keeper.before(found.next_block) / str(place)
            batches = len(self._batches_of(name))
            if self._keeper.in_memory:
                device = self._architecture.device
                streams.by_name[name] = [load_batch(folder, index, device) for index in range(batches)]
            else:
                streams.by_name[name] = self._on_disk(folder, found.next_block, place, batches)
        return streams

    def _at_the_beginning(self) -> Streams:
        batches = [batch.tokens for batch in (*self._calibration, *self._test)]
        embedded = self._architecture.embedded(batches)
        count = len(self._calibration)
        streams: dict[str, Stream] = {CALIBRATION: embedded[:count], REFERENCE: embedded[count:]}
        if self._keeper is not None and not self._keeper.in_memory:
            for place, name in enumerate((CALIBRATION, REFERENCE)):
                folder = self._keeper.before(0) / str(place)
                for index, batch in enumerate(batches_in(streams[name])):
                    save_batch(folder, index, batch)
                streams[name] = self._on_disk(folder, 0, place, len(streams[name]))
        for place, candidate in enumerate(self._candidates, 2):
            if self._keeper is not None and not self._keeper.in_memory:
                folder = self._keeper.before(0) / "1"
                streams[candidate.name] = self._on_disk(folder, 0, place, len(self._test))
            else:  # candidates share the tensors until they have crossed the first block
                streams[candidate.name] = list(batches_in(streams[REFERENCE]))
        return Streams(streams, {candidate.name: [] for candidate in self._candidates})

    def _batches_of(self, name: str) -> list[Batch]:
        return self._calibration if name == CALIBRATION else self._test

    def _on_disk(self, folder: Path, block: int, place: int, batches: int) -> DiskStream:
        assert self._keeper is not None
        new = self._keeper.before(block + 1) / str(place)
        return DiskStream(folder, new, batches, self._architecture.device)

    def _keep(self, streams: Streams) -> None:
        """Have everything on disk that the next block needs, where that takes a small part of the time."""
        if self._keeper is None or not self._keeper.is_due(sum(map(bytes_of, streams.by_name.values()))):
            return
        block, begun = streams.next_block, time.perf_counter()
        for place, name in enumerate(self._names):
            folder = self._keeper.before(block) / str(place)
            if self._keeper.in_memory:
                for index, batch in enumerate(batches_in(streams.by_name[name])):
                    save_batch(folder, index, batch)
            else:
                streams.by_name[name] = self._on_disk(folder, block, place, len(self._batches_of(name)))
        self._keeper.commit(
            block,
            {
                "errors": streams.errors,
                "calibration_routing": _lists(self._calibration_routing.by_document),
                "routing": _lists(self._routing.by_document),
            },
            time.perf_counter() - begun,
        )

    def _cross_block(self, number: int, streams: Streams) -> None:
        block = self._architecture.block(number)
        observer, cached = InputObserver(self._wanted), CacheObserver()
        advance(
            self._architecture, block, number, self._calibration, streams.calibration, observer,
            self._calibration_routing, cached if self._wanted.caches else None,
        )  # fmt: skip
        observer.forget_last()
        advance(self._architecture, block, number, self._test, streams.reference, None, self._routing)
        floats = Floats.of(block)
        for candidate in self._candidates:
            put(candidate, block, observer, floats)
            cache = candidate.cache(block.name, cached.statistics, is_latent=self._architecture.caches_latent)
            stream = streams.by_name[candidate.name]
            advance(self._architecture, block, number, self._test, stream, cache=cache)
            error = relative_error(self._test, streams.reference, stream, candidate.name)
            streams.errors[candidate.name].append(error)
            candidate.finish_block(number)
        self._architecture.release(number)
        streams.next_block = number + 1


def _lists(counts: Mapping[str, NDArray[np.int64]]) -> dict[str, list[list[int]]]:
    return {name: values.tolist() for name, values in counts.items()}


Group = tuple[str, tuple[str, ...]]
"""Products that read the same inputs, behind the first of them, by which their statistics are known."""


@dataclass(frozen=True)
class Floats:
    """A block's float weights, where it is computed and as arrays; on a CPU these are the same memory."""

    tensors: Mapping[str, torch.Tensor]
    arrays: Mapping[str, FloatArray]

    @staticmethod
    def of(block: Block) -> Floats:
        """As the block has them now."""
        tensors = {name: product.weight.data for name, product in block.products.items()}
        return Floats(tensors, {name: weight.cpu().numpy() for name, weight in tensors.items()})


def restore(block: Block, floats: Floats) -> None:
    """Give all products their float weights again."""
    for name, product in block.products.items():
        product.weight.data, product.round_inputs = floats.tensors[name], None


def put(
    candidate: Quantizing,
    block: Block,
    observer: InputObserver,
    floats: Floats,
    groups: Sequence[Group] | None = None,
) -> None:
    """Give a block the candidate's weights; products that it leaves out get their float ones again.

    groups: only these are quantized; None: all. Products that read different inputs are quantized side by
    side.
    """
    restore(block, floats)
    wanted = groups_of(block, observer) if groups is None else groups
    with ThreadPoolExecutor(threads()) as pool:
        quantized = pool.map(lambda group: _quantized(candidate, group, observer, floats), wanted)
        for found in quantized:
            for name, made in found.items():
                product = block.products[name]
                if made.weight is not None:
                    product.weight.data = torch.from_numpy(made.weight).to(floats.tensors[name].device)
                product.round_inputs = made.round_inputs


def _quantized(
    candidate: Quantizing,
    group: Group,
    observer: InputObserver,
    floats: Floats,
) -> Mapping[str, QuantizedProduct]:
    leader, names = group
    weights = {name: floats.arrays[name] for name in names}
    return candidate.quantize(weights, observer.statistics(leader))


def threads() -> int:
    """Half of the cores: linear algebra inside of a method has threads of its own."""
    return max(1, usable_cores() // 2)


def groups_of(block: Block, observer: InputObserver) -> list[Group]:
    """Products by the inputs that they share; those that no calibration token reached by themselves."""
    groups = observer.groups()
    seen = {name for names in groups.values() for name in names}
    return [*groups.items(), *((name, (name,)) for name in block.products if name not in seen)]


def advance(
    architecture: Architecture,
    block: Block,
    number: int,
    batches: Sequence[Batch],
    stream: Stream,
    watch: Watcher | None = None,
    counts: ExpertCounts | None = None,
    cache: BlockCache | None = None,
) -> None:
    """Let a stream cross a block, batch by batch, in place."""
    for index, batch in enumerate(batches):
        if isinstance(cache, CacheObserver):
            cache.real = batch.real
        owners = None if counts is None else batch.owners.to(architecture.device)
        with architecture.crossing.of_batch(batch.real, watch, counts, owners):
            stream[index] = architecture.cross(block, number, stream[index], cache)


def relative_error(
    batches: Sequence[Batch],
    reference: Stream | Sequence[torch.Tensor],
    found: Stream | Sequence[torch.Tensor],
    name: str,
) -> float:
    """The power of a stream's error, as a share of the reference's. Raises NumericsError where it is NaN."""
    error = power = 0.0
    for batch, wanted, got in zip(batches, batches_in(reference), batches_in(found), strict=True):
        difference = (got - wanted).square().sum(-1).flatten()
        magnitude = wanted.square().sum(-1).flatten()
        if batch.real is not None:
            difference, magnitude = difference[batch.real], magnitude[batch.real]
        error += float(difference.sum(dtype=torch.float64))
        power += float(magnitude.sum(dtype=torch.float64))
    if not np.isfinite(error):
        raise NumericsError(f"the activations of {name} are NaN or infinite; leave this candidate out")
    return error / power if power else 0.0
