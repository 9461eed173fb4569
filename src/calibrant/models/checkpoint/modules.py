"""Modules that stand in a block where transformers has its own: they can be watched, their weights changed.

A ``Product`` takes the place of every ``nn.Linear``; ``Experts`` that of the three-dimensional parameters in
which transformers holds a mixture's experts, and has three products for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from calibrant.models.checkpoint.crossing import Crossing

Rounding = Callable[[torch.Tensor], torch.Tensor]


class Product(nn.Module):
    """``x @ weight.T + bias``, with its input rounded where a candidate rounds it."""

    def __init__(
        self,
        name: str,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        crossing: Crossing,
        *,
        of_expert: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.of_expert = name, of_expert
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = bias if bias is None else nn.Parameter(bias, requires_grad=False)
        self.round_inputs: Rounding | None = None
        self._crossing = crossing

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Multiply; whoever watches sees the inputs of real tokens first."""
        self._crossing.show(self.name, inputs, padded=not self.of_expert)
        if self.round_inputs is not None:
            inputs = self.round_inputs(inputs)
        return nn.functional.linear(inputs, self.weight, self.bias)


class Expert(nn.Module):
    """One expert: ``down(act(gate(x)) * up(x))``."""

    def __init__(self, gate: Product, up: Product, down: Product) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down

    def forward(self, inputs: torch.Tensor, act: Rounding) -> torch.Tensor:
        """Of the tokens that are routed to it, tokens x width."""
        hidden: torch.Tensor = act(self.gate_proj(inputs)) * self.up_proj(inputs)
        found: torch.Tensor = self.down_proj(hidden)
        return found


class Experts(nn.Module):
    """A mixture's experts, one after the other, each on the real tokens that are routed to it."""

    def __init__(self, name: str, experts: list[Expert], act: Rounding, crossing: Crossing) -> None:
        super().__init__()
        self.name = name
        self.experts = nn.ModuleList(experts)
        self.act_fn = act
        self._crossing = crossing

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """The chosen experts' outputs, weighted by the router and added up: tokens x width."""
        mixed = torch.zeros_like(hidden_states)
        chosen = self._crossing.chosen_by_real_tokens(top_k_index)
        self._crossing.count_experts(self.name, chosen, len(self.experts))
        for number in torch.unique(chosen[chosen >= 0]).tolist():
            token, place = torch.where(chosen == number)
            output = self.experts[number](hidden_states[token], self.act_fn)
            mixed.index_add_(0, token, output * top_k_weights[token, place, None].to(output.dtype))
        return mixed


def products_of(block: nn.Module) -> Iterator[Product]:
    """All products in a block."""
    return (module for module in block.modules() if isinstance(module, Product))
