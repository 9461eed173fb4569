"""All candidates side by side in one reading of the weights, block by block.

Inside a block the calibration tokens cross it in float while statistics of its inputs are taken; then every
candidate's weights are made of them, and its stream of test tokens crosses the block with these. Statistics
and weights go with the block; what stays is one stream for each candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.progress import Progress
from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.architecture import Architecture, Block
from calibrant.models.checkpoint.batches import Batch, batches_of
from calibrant.models.checkpoint.logits import Comparison, compare_logits
from calibrant.models.checkpoint.modules import Rounding
from calibrant.models.checkpoint.observing import InputObserver
from calibrant.models.checkpoint.statistics import InputStatistics, Wanted


@dataclass(frozen=True)
class QuantizedProduct:
    """What a candidate puts in a product's place.

    weight: the values that are computed with, float32, outputs x inputs. round_inputs: rounds its inputs;
    None: they stay.
    """

    weight: FloatArray
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

    def finish_block(self, number: int) -> None:
        """All products of a block have been quantized."""
        ...


@dataclass(frozen=True)
class Growth:
    """The relative error of a candidate's stream behind each block: squared, by blocks."""

    by_block: tuple[float, ...]


@dataclass
class Streams:
    """The streams between two blocks: calibration, the float model's, and each candidate's, by batches."""

    calibration: list[torch.Tensor]
    reference: list[torch.Tensor]
    candidates: dict[str, list[torch.Tensor]]
    errors: dict[str, list[float]] = field(default_factory=dict)
    next_block: int = 0


@dataclass(frozen=True)
class Measurement:
    """What one reading of the weights found.

    ``comparisons`` hold each candidate's logits against the float model's by document, ``growth`` its error
    behind each block. ``calibration_routing`` and ``test_routing`` count, in float, how many tokens each
    expert was given, by the mixture's name.
    """

    reference_nll: NDArray[np.float64]
    tokens: NDArray[np.int64]
    comparisons: Mapping[str, Comparison]
    growth: Mapping[str, Growth]
    calibration_routing: Mapping[str, NDArray[np.int64]]
    test_routing: Mapping[str, NDArray[np.int64]]


def measure(
    architecture: Architecture,
    calibration: Sequence[NDArray[np.int64]],
    test: Sequence[NDArray[np.int64]],
    scored_from: Sequence[int],
    candidates: Sequence[Quantizing],
    wanted: Wanted,
    progress: Progress,
) -> Measurement:
    """Read the weights once and measure every candidate against the float model.

    calibration, test: token numbers of each document. scored_from: the first token of each test document
    whose prediction counts, at least 1. Raises NumericsError where a stream is no longer finite.
    """
    with torch.inference_mode():
        return _Run(architecture, calibration, test, candidates, wanted).measured(scored_from, progress)


class _Run:
    def __init__(
        self,
        architecture: Architecture,
        calibration: Sequence[NDArray[np.int64]],
        test: Sequence[NDArray[np.int64]],
        candidates: Sequence[Quantizing],
        wanted: Wanted,
    ) -> None:
        self._architecture, self._wanted, self._candidates = architecture, wanted, candidates
        self._calibration, self._test = batches_of(calibration), batches_of(test)
        self._documents = len(test)
        self._routing: dict[str, torch.Tensor] = {}
        self._calibration_routing: dict[str, torch.Tensor] = {}

    def measured(self, scored_from: Sequence[int], progress: Progress) -> Measurement:
        streams = self._begun()
        with progress.stage("Blocks", self._architecture.blocks) as step:
            for number in range(streams.next_block, self._architecture.blocks):
                self._cross_block(number, streams)
                step()
        comparisons, reference, tokens = compare_logits(
            self._architecture,
            self._test,
            streams.reference,
            streams.candidates,
            scored_from,
            self._documents,
        )
        return Measurement(
            reference,
            tokens,
            comparisons,
            {name: Growth(tuple(errors)) for name, errors in streams.errors.items()},
            {name: counts.numpy() for name, counts in self._calibration_routing.items()},
            {name: counts.numpy() for name, counts in self._routing.items()},
        )

    def _begun(self) -> Streams:
        batches = [batch.tokens for batch in (*self._calibration, *self._test)]
        streams = self._architecture.embedded(batches)
        calibration, reference = streams[: len(self._calibration)], streams[len(self._calibration) :]
        names = [candidate.name for candidate in self._candidates]
        return Streams(
            calibration, reference, {name: list(reference) for name in names}, {name: [] for name in names}
        )

    def _cross_block(self, number: int, streams: Streams) -> None:
        block = self._architecture.block(number)
        observer = InputObserver(self._wanted)
        advance(
            self._architecture,
            block,
            number,
            self._calibration,
            streams.calibration,
            observer,
            self._calibration_routing,
        )
        observer.forget_last()
        streams.reference = list(streams.reference)  # candidates may still share the first block's
        advance(self._architecture, block, number, self._test, streams.reference, None, self._routing)
        floats = {name: product.weight.data for name, product in block.products.items()}
        for candidate in self._candidates:
            self._put(candidate, block, observer, floats)
            stream = streams.candidates[candidate.name]
            advance(self._architecture, block, number, self._test, stream)
            error = relative_error(self._test, streams.reference, stream, candidate.name)
            streams.errors[candidate.name].append(error)
            candidate.finish_block(number)
        self._architecture.release(number)
        streams.next_block = number + 1

    def _put(
        self,
        candidate: Quantizing,
        block: Block,
        observer: InputObserver,
        floats: Mapping[str, torch.Tensor],
    ) -> None:
        """Give a block the candidate's weights; products that it leaves out get their float ones again."""
        for name, product in block.products.items():
            product.weight.data, product.round_inputs = floats[name], None
        for leader, names in groups_of(block, observer):
            weights = {name: floats[name].numpy() for name in names}
            for name, made in candidate.quantize(weights, observer.statistics(leader)).items():
                block.products[name].weight.data = torch.from_numpy(made.weight)
                block.products[name].round_inputs = made.round_inputs


def groups_of(block: Block, observer: InputObserver) -> list[tuple[str, tuple[str, ...]]]:
    """Products by the inputs that they share; those that no calibration token reached by themselves."""
    groups = observer.groups()
    seen = {name for names in groups.values() for name in names}
    return [*groups.items(), *((name, (name,)) for name in block.products if name not in seen)]


def advance(
    architecture: Architecture,
    block: Block,
    number: int,
    batches: Sequence[Batch],
    stream: list[torch.Tensor],
    watch: InputObserver | None = None,
    counts: dict[str, torch.Tensor] | None = None,
) -> None:
    """Let a stream cross a block, batch by batch, in place."""
    for index, batch in enumerate(batches):
        with architecture.crossing.of_batch(batch.real, watch, counts):
            stream[index] = architecture.cross(block, number, stream[index])


def relative_error(
    batches: Sequence[Batch], reference: Sequence[torch.Tensor], found: Sequence[torch.Tensor], name: str
) -> float:
    """The power of a stream's error, as a share of the reference's. Raises NumericsError where it is NaN."""
    error = power = 0.0
    for batch, wanted, got in zip(batches, reference, found, strict=True):
        difference = (got - wanted).square().sum(-1).flatten()
        magnitude = wanted.square().sum(-1).flatten()
        if batch.real is not None:
            difference, magnitude = difference[batch.real], magnitude[batch.real]
        error += float(difference.sum(dtype=torch.float64))
        power += float(magnitude.sum(dtype=torch.float64))
    if not np.isfinite(error):
        raise NumericsError(f"the activations of {name} are NaN or infinite; leave this candidate out")
    return error / power if power else 0.0
