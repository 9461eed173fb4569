"""Experts that calibration hardly reached, weighted by what the test set sends to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HARDLY = 0.1
"""Of an even share of the calibration tokens: an expert that saw less is hardly calibrated."""

WORTH_SAYING = 0.01
"""Share of the test traffic that meets such experts."""


@dataclass(frozen=True)
class Routing:
    """One mixture. unreached: experts that no calibration token was sent to, hardly: those that saw little.

    test_share: of the test tokens' choices that fell on either, 0..1.
    """

    mixture: str
    experts: int
    unreached: tuple[int, ...]
    hardly: tuple[int, ...]
    test_share: float


def routing_of(
    calibration: Mapping[str, NDArray[np.int64]], test: Mapping[str, NDArray[np.int64]]
) -> tuple[Routing, ...]:
    """Every mixture of a model, from how many tokens each of its experts was given in float."""
    return tuple(
        _routing(name, calibration.get(name, np.zeros_like(counts)), counts) for name, counts in test.items()
    )


def routing_remark(found: tuple[Routing, ...]) -> str | None:
    """What a user should know before trusting the calibration, in a line; None: nothing."""
    if not found:
        return None
    share = float(np.mean([routing.test_share for routing in found]))
    worst = max(found, key=lambda routing: routing.test_share)
    if share < WORTH_SAYING or not (worst.unreached or worst.hardly):
        return None
    expert = (*worst.unreached, *worst.hardly)[0]
    return (
        f"{100 * share:.1f} % of the test tokens' experts were hardly reached in calibration, e.g. "
        f"{worst.mixture}.{expert}; calibrate on texts like those of the test set"
    )


def _routing(mixture: str, calibration: NDArray[np.int64], test: NDArray[np.int64]) -> Routing:
    even = calibration.sum() / len(calibration)
    unreached = calibration == 0
    hardly = ~unreached & (calibration < HARDLY * even)
    total = test.sum()
    return Routing(
        mixture,
        len(test),
        tuple(int(expert) for expert in np.flatnonzero(unreached)),
        tuple(int(expert) for expert in np.flatnonzero(hardly)),
        float(test[unreached | hardly].sum() / total) if total else 0.0,
    )
