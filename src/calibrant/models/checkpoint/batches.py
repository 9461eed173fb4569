"""Documents as batches of similar length, padded on the right, where causal attention does not look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

TOKENS = 4096
"""Of a batch, with its padding: enough for matrix products to be efficient, little beside a block."""


@dataclass(frozen=True)
class Batch:
    """tokens: documents x length, padded with 0. real: which of them, flattened, are no padding (None: all).

    documents: each row's place in the data set; lengths: its tokens.
    """

    tokens: torch.Tensor
    real: torch.Tensor | None
    documents: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def owners(self) -> torch.Tensor:
        """Each token's document, (rows * length,), padding included."""
        return torch.from_numpy(self.documents).repeat_interleave(self.tokens.shape[1])


def batches_of(
    documents: Sequence[NDArray[np.int64]], tokens: int = TOKENS, device: torch.device | None = None
) -> list[Batch]:
    """Put documents into batches, the short ones together. device: where ``real`` lies; None: the CPU."""
    order = sorted(range(len(documents)), key=lambda number: (len(documents[number]), number))
    batches, begun = [], 0
    while begun < len(order):
        end = begun + 1
        while end < len(order) and (end + 1 - begun) * len(documents[order[end]]) <= tokens:
            end += 1
        batches.append(_batch(documents, order[begun:end], device))
        begun = end
    return batches


def _batch(
    documents: Sequence[NDArray[np.int64]], members: Sequence[int], device: torch.device | None
) -> Batch:
    lengths = np.array([len(documents[number]) for number in members], np.int64)
    longest = int(lengths.max())
    padded = np.zeros((len(members), longest), np.int64)
    for row, number in enumerate(members):
        padded[row, : lengths[row]] = documents[number]
    real = np.arange(longest)[None] < lengths[:, None]
    return Batch(
        torch.from_numpy(padded),
        None if real.all() else torch.from_numpy(real.reshape(-1)).to(device),
        np.array(members, np.int64),
        lengths,
    )
