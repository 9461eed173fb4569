"""What a weight's columns are multiplied by before they are rounded, and its inputs divided by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibrant.core.elements import INT8, FloatArray
from calibrant.methods.types import InputStatistics

EXPONENTS = tuple(float(exponent) for exponent in np.linspace(0, 1, 21))
ROWS = 128
"""How many outputs the search looks at: more change its choice little and take longer."""


def awq(
    weight: FloatArray,
    inputs: InputStatistics,
    stored: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Scales of the inputs, (K,): the power of their root mean squares with which outputs change least.

    stored: a scaled weight as it comes back. Source: J. Lin et al., AWQ: Activation-aware Weight
    Quantization, 2023, section 3.2; the change is that of the second moments, and one scale of 1 is among
    those tried.
    """
    moments = inputs.require_moments("awq")
    rms = np.sqrt(np.maximum(np.diagonal(moments), 0))
    sample = _some(weight)
    tried = [_normalised(np.where(rms > 0, rms**exponent, 0)) for exponent in EXPONENTS]
    losses = [
        _loss(sample, np.asarray(stored(sample * scale) / scale, np.float32), moments) for scale in tried
    ]
    return tried[int(np.argmin(losses))]


def smoothquant(
    weight: FloatArray,
    inputs: InputStatistics,
    stored: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Scales of the inputs, (K,): ``amax(x)**a / amax(w)**(1 - a)``, which evens large inputs out.

    The ``a`` of EXPONENTS with the least sum of what rounding the weight and what rounding the inputs in INT8
    by one scale adds to the outputs: the latter is step**2 / 12 for each, times the squares of the weight.
    Where there are no second moments, 0.5. Source: G. Xiao et al., SmoothQuant, 2022, equation 4.
    """
    peaks = inputs.require_amax("smoothquant")
    rows = np.maximum(np.abs(weight).max(axis=0), np.float32(1e-5))
    if inputs.second_moments is None:
        return _balance(peaks, rows, 0.5)
    moments, sample = inputs.require_moments("smoothquant"), _some(weight)
    tried = [np.ones_like(peaks)]
    tried += [_balance(peaks, rows, exponent) for exponent in EXPONENTS]
    losses = []
    for scale in tried:
        step = float((peaks / scale).max()) / INT8.highest
        of_inputs = step**2 / 12 * float(np.square(sample * scale, dtype=np.float64).sum())
        losses.append(
            _loss(sample, np.asarray(stored(sample * scale) / scale, np.float32), moments) + of_inputs
        )
    return tried[int(np.argmin(losses))]


def _balance(peaks: FloatArray, rows: FloatArray, exponent: float) -> FloatArray:
    return _normalised(np.where(peaks > 0, peaks**exponent / rows ** (1 - exponent), 0))


def _some(weight: FloatArray) -> FloatArray:
    every = -(-len(weight) // ROWS)
    return np.ascontiguousarray(weight[::every])


def _loss(weight: FloatArray, stored: FloatArray, moments: FloatArray) -> float:
    lost = weight - stored
    return float(((lost @ moments) * lost).sum(dtype=np.float64))


def _normalised(scale: NDArray[np.floating]) -> FloatArray:
    """Scales whose largest and smallest are each other's inverse; inputs that were never seen have 1."""
    seen = scale > 0
    if not seen.any():
        return np.ones(scale.shape, np.float32)
    middle = np.sqrt(scale[seen].max() * scale[seen].min())
    return np.where(seen, scale / middle, 1).astype(np.float32)
