"""Scales of inputs folded into the norm that makes them, so that nothing is computed in addition.

A norm's output is its weight times something; where each channel is to be divided by a scale, the weight is.
The file's type rounds the new weight: what is measured is computed with the rounded one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.weights import Weights

# All products in a block that read a norm's output, and the norm, by their names within the block.
_READERS = (
    (frozenset({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}), "input_layernorm"),
    (frozenset({"self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa"}), "input_layernorm"),
    (frozenset({"self_attn.q_proj", "self_attn.kv_a_proj_with_mqa"}), "input_layernorm"),
    (frozenset({"self_attn.q_b_proj"}), "self_attn.q_a_layernorm"),
    (frozenset({"self_attn.kv_b_proj"}), "self_attn.kv_a_layernorm"),
    (frozenset({"mlp.gate_proj", "mlp.up_proj"}), "post_attention_layernorm"),
)


@dataclass(frozen=True)
class Folded:
    """A norm with scales in it. values: its new weight, in the file's type. ratio: new over old."""

    norm: str
    values: NDArray[Any]
    ratio: FloatArray


def norm_before(products: Iterable[str]) -> str | None:
    """The weight of the norm that only these products read; None: there is none."""
    names = [name.split(".") for name in products]
    depth = next((place + 1 for place, part in enumerate(names[0]) if part.isdigit()), 0)
    block = names[0][:depth]
    if any(name[:depth] != block for name in names):
        return None
    inner = frozenset(".".join(name[depth:]) for name in names)
    found = next((norm for readers, norm in _READERS if readers == inner), None)
    return None if found is None else ".".join([*block, found, "weight"])


def folded(weights: Weights, norm: str, scale: FloatArray) -> Folded:
    """The norm whose outputs are divided by ``scale``, (channels,)."""
    stored = weights.raw(norm)
    old = stored.astype(np.float32)
    new = (old / scale).astype(stored.dtype)
    ratio = np.divide(new.astype(np.float32), old, out=np.ones_like(old), where=old != 0)
    return Folded(norm, new, ratio)
