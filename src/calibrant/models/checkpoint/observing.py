"""What is remembered of the inputs of a block's products while the calibration tokens cross it, in float."""

from __future__ import annotations

import numpy as np
import torch

from calibrant.core.statistics import Accumulator
from calibrant.models.checkpoint.statistics import InputStatistics, Wanted


class _Inputs:
    """Of one tensor that products read."""

    def __init__(self, width: int, wanted: Wanted, device: torch.device) -> None:
        self.tokens = 0
        self._amax = torch.zeros(width, device=device)
        self._magnitude = torch.zeros(width, dtype=torch.float64, device=device)
        self._moments = torch.zeros(width, width, device=device) if wanted.moments else None
        self._values = Accumulator() if wanted.histograms else None

    def add(self, inputs: torch.Tensor) -> None:
        magnitudes = inputs.abs()
        self.tokens += len(inputs)
        self._amax = torch.maximum(self._amax, magnitudes.amax(0))
        self._magnitude += magnitudes.sum(0, dtype=torch.float64)
        if self._moments is not None:
            self._moments.addmm_(inputs.T, inputs)
        if self._values is not None:
            self._values.observe(inputs.contiguous().cpu().numpy())

    def statistics(self) -> InputStatistics:
        mean = (self._magnitude / max(1, self.tokens)).cpu().numpy().astype(np.float32)
        return InputStatistics(
            self.tokens,
            self._amax.cpu().numpy(),
            mean,
            None if self._moments is None else (self._moments / max(1, self.tokens)).cpu().numpy(),
            self._values.statistics() if self._values is not None and self.tokens else None,
        )


class InputObserver:
    """Watches products; those that are shown the same tensor share its statistics.

    Which do is seen while the first batch crosses: transformers hands one tensor to q, k and v.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._leaders: dict[str, str] = {}
        self._found: dict[str, _Inputs] = {}
        self._last: tuple[str, torch.Tensor] | None = None
        self._statistics: dict[str, InputStatistics] = {}

    def __call__(self, product: str, inputs: torch.Tensor, real: torch.Tensor | None) -> None:
        """Take one product's inputs."""
        if product not in self._leaders:
            shared = self._last is not None and self._last[1] is inputs
            self._leaders[product] = self._leaders[self._last[0]] if shared and self._last else product
        self._last = product, inputs
        if self._leaders[product] != product:
            return
        flat = inputs.reshape(-1, inputs.shape[-1])
        flat = flat if real is None else flat[real]
        if len(flat):
            if product not in self._found:
                self._found[product] = _Inputs(flat.shape[1], self._wanted, flat.device)
            self._found[product].add(flat)

    def forget_last(self) -> None:
        """Hold no tensor any longer."""
        self._last = None

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The products that read the same values, by the first of them."""
        groups: dict[str, list[str]] = {}
        for product, leader in self._leaders.items():
            groups.setdefault(leader, []).append(product)
        return {leader: tuple(products) for leader, products in groups.items()}

    def statistics(self, leader: str) -> InputStatistics | None:
        """What was seen of a group's inputs; None: nothing."""
        if leader in self._found and leader not in self._statistics:
            self._statistics[leader] = self._found.pop(leader).statistics()
        return self._statistics.get(leader)
