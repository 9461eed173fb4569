"""Does the calibration set represent? Both sets' activations compared, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.types import Range
from calibrant.stages.coverage.distance import exceedance_probability, js_distance
from calibrant.stages.coverage.summary import SetSummary
from calibrant.studies.coverage.result import Clipping, Representation, TensorCoverage

OUTSIDE, SHIFTED = "outside", "shifted"
FALSE_ALARMS = 0.01
"""How often chance alone may find a tensor "outside", over all tensors together."""
FEWEST_SAMPLES = 8
SPLITS = 19
"""Random halves of the calibration set: a distance above all of them is beyond chance (1 in 20)."""

REPRESENTS, DOES_NOT, TOO_FEW = "represents", "does not represent", "too few samples"
_NAMED = 3


@dataclass(frozen=True)
class _Pair:
    """Both sets' summaries, and one tensor's column in them."""

    calibration: SetSummary
    compared: SetSummary
    column: int


def compared(
    calibration: SetSummary,
    other: SetSummary,
    ranges: Mapping[str, Mapping[str, Range]],
    compared_with: str,
) -> Representation:
    """Compare two sets of samples; ``ranges`` are by calibrator, then by tensor, in the summaries' order.

    The calibration set's summary has its random halves.
    """
    pairs = [_Pair(calibration, other, column) for column in range(len(calibration.tensors))]
    tensors = sorted((_tensor(pair, ranges) for pair in pairs), key=_badness)
    verdict, reasons = _verdict(tensors, calibration.samples, compared_with)
    return Representation(compared_with, verdict, reasons, 1 / (calibration.samples + 1), tuple(tensors))


def _tensor(pair: _Pair, ranges: Mapping[str, Mapping[str, Range]]) -> TensorCoverage:
    mine, others, column = pair.calibration, pair.compared, pair.column
    low, high = float(mine.lows[:, column].min()), float(mine.highs[:, column].max())
    below, above = others.lows[:, column] < low, others.highs[:, column] > high
    amax = max(abs(low), abs(high))
    other_low, other_high = float(others.lows[:, column].min()), float(others.highs[:, column].max())
    noise = [js_distance(half, mine.counts[column] - half, amax) for half in mine.halves[:, column]]
    distance = js_distance(mine.counts[column], others.counts[column], amax)
    # Either end may be left: twice the probability of the less probable one is an upper bound.
    sides = [exceedance_probability(mine.samples, others.samples, int(side.sum())) for side in (below, above)]
    probability = min(1.0, 2 * min(sides))
    tensor = mine.tensors[column]
    return TensorCoverage(
        tensor=tensor,
        low=low,
        high=high,
        compared_low=other_low,
        compared_high=other_high,
        samples_outside=float((below | above).mean()),
        probability=probability,
        excess=max(low - other_low, other_high - high, 0.0) / amax if amax else 0.0,
        distance=distance,
        noise=float(np.median(noise)),
        largest_noise=max(noise),
        findings=_findings(probability, len(mine.tensors), distance, max(noise)),
        clipping={
            name: _clipping(pair, index, by_tensor[tensor])
            for index, (name, by_tensor) in enumerate(ranges.items())
        },
    )


def _findings(probability: float, tensors: int, distance: float, largest_noise: float) -> tuple[str, ...]:
    outside = (OUTSIDE,) if probability < FALSE_ALARMS / tensors else ()
    return (*outside, *((SHIFTED,) if distance > largest_noise else ()))


def _clipping(pair: _Pair, index: int, chosen: Range) -> Clipping:
    column = pair.column
    shares = [
        float(summary.outside[column, index] / summary.counts[column].sum())
        for summary in (pair.calibration, pair.compared)
    ]
    samples = float(pair.compared.samples_outside[column, index] / pair.compared.samples)
    return Clipping(chosen.low, chosen.high, shares[0], shares[1], samples)


def _badness(tensor: TensorCoverage) -> tuple[float, float, float]:
    shift = tensor.distance / tensor.largest_noise if tensor.largest_noise else 0.0
    return -len(tensor.findings), tensor.probability if tensor.findings else 1.0, -shift


def _verdict(
    tensors: Sequence[TensorCoverage], samples: int, compared_with: str
) -> tuple[str, tuple[str, ...]]:
    found = {kind: [tensor for tensor in tensors if kind in tensor.findings] for kind in (OUTSIDE, SHIFTED)}
    reasons = tuple(
        _reason(kind, which, len(tensors), compared_with) for kind, which in found.items() if which
    )
    if found[OUTSIDE] or len(found[SHIFTED]) > len(tensors) / 20:
        return DOES_NOT, reasons
    if samples < FEWEST_SAMPLES:
        few = (
            f"{samples} calibration samples cannot show a difference from chance; use {FEWEST_SAMPLES} or "
            "more"
        )
        return TOO_FEW, (*reasons, few)
    return REPRESENTS, reasons


def _reason(kind: str, which: Sequence[TensorCoverage], of: int, compared_with: str) -> str:
    names = ", ".join(tensor.tensor for tensor in which[:_NAMED])
    if kind == OUTSIDE:
        worst = max(which, key=lambda tensor: tensor.samples_outside)
        return (
            f"{len(which)} of {of} tensors leave their calibrated range in more {compared_with} samples than "
            f"chance explains, up to {worst.samples_outside:.0%} of them: {names}"
        )
    worst = max(which, key=lambda tensor: tensor.distance)
    return (
        f"{len(which)} of {of} tensors are distributed differently, by up to {worst.distance:.3f} "
        f"(halves of the calibration set: {worst.noise:.3f}): {names}"
    )
