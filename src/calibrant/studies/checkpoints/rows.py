"""Large weights rounded side by side, some rows by each thread: rows do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from calibrant.core.formats import Encoded, Format, decode
from calibrant.core.types import FloatArray
from calibrant.methods import InputStatistics
from calibrant.methods.registry import SumOfParts
from calibrant.models.checkpoint.streaming import threads

Found = TypeVar("Found")

SMALL = 1 << 22
"""Values for which one thread is as fast."""


def encoded_by_rows(method: SumOfParts, weight: FloatArray, chosen: Format, seen: InputStatistics) -> Encoded:
    """What a method that looks at each row by itself makes of a weight, to the bit. Raises as the method."""
    parts = _parts(len(weight), weight.size)
    if len(parts) == 1 or chosen.tensor_scale:
        return method(weight, chosen, seen).encoded
    found = _side_by_side(lambda rows: method(weight[rows], chosen, seen).encoded, parts)
    offsets = [each.grid.offset for each in found]
    grid = replace(
        found[0].grid,
        scale=np.concatenate([each.grid.scale for each in found]),
        offset=None if offsets[0] is None else np.concatenate([each for each in offsets if each is not None]),
    )
    return Encoded(np.concatenate([each.codes for each in found]), grid)


def decoded_by_rows(encoded: Encoded) -> FloatArray:
    """The real values of what is stored, float32: as ``decode``."""
    codes, grid = encoded.codes, encoded.grid
    parts = _parts(len(codes), codes.size)
    if len(parts) == 1 or grid.scale.ndim != 2 or len(grid.scale) != len(codes):
        return decode(encoded)

    def part(rows: slice) -> FloatArray:
        offset = None if grid.offset is None else grid.offset[rows]
        return decode(Encoded(codes[rows], replace(grid, scale=grid.scale[rows], offset=offset)))

    return np.concatenate(_side_by_side(part, parts))


def _parts(rows: int, size: int) -> list[slice]:
    count = max(1, min(threads(), rows, size // SMALL))
    ends = [rows * place // count for place in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


def _side_by_side(work: Callable[[slice], Found], parts: Sequence[slice]) -> list[Found]:
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(work, parts))
