"""The swap test: which tensors' ranges account for what one candidate loses against another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from calibrant.core.types import Encoding

ENOUGH = 0.9
"""The test ends when this share of the gap is explained."""
MOST_STEPS = 16
"""And after so many tensors: what is spread over more is no matter of single tensors."""


def differing(losing: Mapping[str, Encoding], winning: Mapping[str, Encoding]) -> tuple[str, ...]:
    """The tensors that the two candidates encode differently, in the losing one's order."""
    return tuple(
        tensor
        for tensor, encoding in losing.items()
        if tensor in winning and not _is_same(encoding, winning[tensor])
    )


def swapped(
    losing: Mapping[str, Encoding], winning: Mapping[str, Encoding], tensors: Sequence[str]
) -> dict[str, Encoding]:
    """The losing candidate's encodings with the winner's for ``tensors``."""
    return {**losing, **{tensor: winning[tensor] for tensor in tensors}}


def greedy(
    gains: Mapping[str, float], gain_after: Callable[[Sequence[str], str], float], looks: int = 3
) -> Iterator[str]:
    """Yield tensors, the greatest gain first, as measured beside those already taken.

    gains: each tensor's gain by itself. ``gain_after(taken, tensor)`` measures it again beside others. A step
    measures the next ``looks`` tensors of the order again and takes the best, for a gain seldom grows much:
    lazy evaluation. Source: M. Minoux, Accelerated Greedy Algorithms, 1978.
    """
    known = dict(gains)
    taken: list[str] = []
    while known:
        ahead = sorted(known, key=lambda tensor: -known[tensor])[:looks]
        if taken:
            known.update({tensor: gain_after(taken, tensor) for tensor in ahead})
        best = max(ahead, key=lambda tensor: known[tensor])
        del known[best]
        taken.append(best)
        yield best


def _is_same(one: Encoding, other: Encoding) -> bool:
    return (
        one.spec == other.spec
        and one.scale.tobytes() == other.scale.tobytes()
        and one.zero_point.tobytes() == other.zero_point.tobytes()
    )
