"""What modules share while a batch crosses a block: which tokens are real, who watches, counts of experts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class Watcher(Protocol):
    """Sees the inputs of products."""

    def __call__(self, product: str, inputs: torch.Tensor, real: torch.Tensor | None) -> None:
        """Take one product's inputs, (..., width).

        ``real`` marks the tokens that are no padding, by the first axes flattened; None: all are real.
        Products that read the same values are shown the same tensor.
        """
        ...


class ExpertCounts:
    """How many tokens of each document each expert was given, by the mixture's name: documents x experts."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self.by_document: dict[str, NDArray[np.int64]] = {}

    @property
    def totals(self) -> dict[str, NDArray[np.int64]]:
        """Of all documents, by expert."""
        return {name: counts.sum(axis=0) for name, counts in self.by_document.items()}

    def add(self, mixture: str, chosen: torch.Tensor, owners: torch.Tensor, experts: int) -> None:
        """Take a batch's choices, tokens x choices (-1: none), and each token's document."""
        pairs = owners[:, None] * experts + chosen
        count = torch.bincount(pairs[chosen >= 0].flatten(), minlength=self._documents * experts)
        found = count.cpu().numpy().reshape(self._documents, experts)
        self.by_document[mixture] = found + self.by_document.get(mixture, 0)


class Crossing:
    """Shared by the modules of a model: set for one batch, read while it crosses."""

    def __init__(self) -> None:
        self._real: torch.Tensor | None = None
        self._owners: torch.Tensor | None = None
        self._watch: Watcher | None = None
        self._counts: ExpertCounts | None = None

    @contextmanager
    def of_batch(
        self,
        real: torch.Tensor | None,
        watch: Watcher | None = None,
        counts: ExpertCounts | None = None,
        owners: torch.Tensor | None = None,
    ) -> Iterator[None]:
        """A batch crosses: ``real`` marks its tokens without padding, (batch * length,); None: there is none.

        counts: takes the number of tokens that each expert was given; with it ``owners``, each token's
        document, (batch * length,).
        """
        self._real, self._watch, self._counts, self._owners = real, watch, counts, owners
        try:
            yield
        finally:
            self._real = self._watch = self._counts = self._owners = None

    def show(self, product: str, inputs: torch.Tensor, *, padded: bool) -> None:
        """Show a product's inputs to whoever watches; an expert's hold no padding."""
        if self._watch is not None:
            self._watch(product, inputs, self._real if padded else None)

    def chosen_by_real_tokens(self, chosen: torch.Tensor) -> torch.Tensor:
        """A router's choices, tokens x choices, with -1 at padding."""
        return chosen if self._real is None else chosen.masked_fill(~self._real[:, None], -1)

    def count_experts(self, mixture: str, chosen: torch.Tensor, experts: int) -> None:
        """Count how often each expert was chosen; -1: a token of padding."""
        if self._counts is not None and self._owners is not None:
            self._counts.add(mixture, chosen, self._owners, experts)
