"""The swap test: which tensors' ranges account for what one candidate loses against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibrant.core.types import Encoding

ENOUGH = 0.9
"""The test ends when this share of the gap is explained."""


def differing(losing: Mapping[str, Encoding], winning: Mapping[str, Encoding]) -> tuple[str, ...]:
    """The tensors that the two candidates encode differently, by how much their steps differ, most first."""
    ratios = {
        tensor: abs(float(np.log(encoding.scale / winning[tensor].scale)))
        for tensor, encoding in losing.items()
        if tensor in winning and not _is_same(encoding, winning[tensor])
    }
    return tuple(sorted(ratios, key=lambda tensor: -ratios[tensor]))


def swapped(
    base: Mapping[str, Encoding], other: Mapping[str, Encoding], tensors: Sequence[str]
) -> dict[str, Encoding]:
    """The encodings of ``base`` with those of ``other`` for ``tensors``."""
    return {**base, **{tensor: other[tensor] for tensor in tensors}}


def _is_same(one: Encoding, other: Encoding) -> bool:
    return (
        one.spec == other.spec
        and one.scale.tobytes() == other.scale.tobytes()
        and one.zero_point.tobytes() == other.zero_point.tobytes()
    )
