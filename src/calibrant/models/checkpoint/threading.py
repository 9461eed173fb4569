"""How many threads torch has: for small products one is faster than two, so that it is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TOKENS, _TIMES = 512, 5


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch have so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest_threads(width: int) -> int:
    """One thread, or as many as torch has now: whichever multiplies matrices of a block's size sooner."""
    most = torch.get_num_threads()
    if most == 1:
        return 1
    values, weight = torch.ones(_TOKENS, width), torch.ones(4 * width, width)
    return min((1, most), key=lambda count: _seconds(count, values, weight))


def _seconds(count: int, values: torch.Tensor, weight: torch.Tensor) -> float:
    """The least of several times of a product and a pass over its outcome."""
    with torch_threads(count):
        found = []
        for _ in range(_TIMES):
            begun = time.perf_counter()
            torch.nn.functional.silu(values @ weight.T).sum()
            found.append(time.perf_counter() - begun)
    return min(found)
