"""What documents reach of a model, in float: experts, and the ranges of products' inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.batches import Batch, batches_of
from calibrant.models.checkpoint.crossing import ExpertCounts
from calibrant.models.checkpoint.streaming import advance


@dataclass(frozen=True)
class Reached:
    """What documents do in a model.

    experts: tokens that each document sends to each expert, documents x experts, by the mixture's name.
    ranges: the largest magnitude of each product's inputs by document, (documents,), by the product's name;
    experts' products are left out.
    """

    experts: Mapping[str, NDArray[np.int64]]
    ranges: Mapping[str, NDArray[np.float32]]


def reach(
    architecture: Architecture,
    sets: Sequence[Sequence[NDArray[np.int64]]],
    progress: Progress,
) -> tuple[Reached, ...]:
    """Let several sets of documents cross the model, in one reading of the weights."""
    with torch.inference_mode(), progress.stage("Blocks", architecture.blocks) as step:
        batches = [batches_of(documents, device=architecture.device) for documents in sets]
        streams = [architecture.embedded([batch.tokens for batch in each]) for each in batches]
        counts = [ExpertCounts(len(documents)) for documents in sets]
        ranges = [_Ranges(len(documents)) for documents in sets]
        for number in range(architecture.blocks):
            block = architecture.block(number)
            for each, stream, count, seen in zip(batches, streams, counts, ranges, strict=True):
                for index, batch in enumerate(each):
                    seen.batch = batch
                    one = [stream[index]]
                    advance(architecture, block, number, [batch], one, seen, count)
                    stream[index] = one[0]
            architecture.release(number)
            step()
    return tuple(Reached(count.by_document, seen.found) for count, seen in zip(counts, ranges, strict=True))


class _Ranges:
    """Watches products' inputs."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self.found: dict[str, NDArray[np.float32]] = {}
        self.batch: Batch | None = None

    def __call__(self, product: str, inputs: torch.Tensor, real: torch.Tensor | None) -> None:
        """Take one product's inputs, (documents, length, width); an expert's are of no order."""
        assert self.batch is not None
        if inputs.ndim != 3 or inputs.shape[:2] != self.batch.tokens.shape:
            return
        largest = inputs.abs().amax(-1)
        if real is not None:
            largest = largest.masked_fill(~real.reshape(largest.shape), 0)
        rows = largest.amax(-1).cpu().numpy()
        kept = self.found.setdefault(product, np.zeros(self._documents, np.float32))
        kept[self.batch.documents] = np.maximum(kept[self.batch.documents], rows)
