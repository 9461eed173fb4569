"""What modules share while a batch crosses a block: which tokens are real, who watches, counts of experts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch


class Watcher(Protocol):
    """Sees the inputs of products."""

    def __call__(self, product: str, inputs: torch.Tensor, real: torch.Tensor | None) -> None:
        """Take one product's inputs, (..., width).

        ``real`` marks the tokens that are no padding, by the first axes flattened; None: all are real.
        Products that read the same values are shown the same tensor.
        """
        ...


class Crossing:
    """Shared by the modules of a model: set for one batch, read while it crosses."""

    def __init__(self) -> None:
        self._real: torch.Tensor | None = None
        self._watch: Watcher | None = None
        self._counts: dict[str, torch.Tensor] | None = None

    @contextmanager
    def of_batch(
        self,
        real: torch.Tensor | None,
        watch: Watcher | None = None,
        counts: dict[str, torch.Tensor] | None = None,
    ) -> Iterator[None]:
        """A batch crosses: ``real`` marks its tokens without padding, (batch * length,); None: there is none.

        counts: takes the number of tokens that each expert was given, by the mixture's name.
        """
        self._real, self._watch, self._counts = real, watch, counts
        try:
            yield
        finally:
            self._real = self._watch = self._counts = None

    def show(self, product: str, inputs: torch.Tensor, *, padded: bool) -> None:
        """Show a product's inputs to whoever watches; an expert's hold no padding."""
        if self._watch is not None:
            self._watch(product, inputs, self._real if padded else None)

    def real_tokens(self, tokens: int) -> torch.Tensor:
        """Which of a batch's tokens are no padding."""
        return torch.ones(tokens, dtype=torch.bool) if self._real is None else self._real

    def count_experts(self, mixture: str, chosen: torch.Tensor, experts: int) -> None:
        """Count how often each expert was chosen; -1: a token of padding."""
        if self._counts is not None:
            count = torch.bincount(chosen[chosen >= 0].flatten(), minlength=experts)
            self._counts[mixture] = count + self._counts.get(mixture, 0)
