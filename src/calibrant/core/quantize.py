"""From a range to an encoding, and the arithmetic of quantized numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import Encoding, FloatArray, PerChannel, PerTensor, QuantSpec, Range

_SMALLEST_SCALE = np.float32(np.finfo(np.float32).tiny)


def encoding_of(chosen: Range, spec: QuantSpec) -> Encoding:
    """Encode a per-tensor activation range.

    Symmetric: ``scale = amax / qmax``, zero point 0 (TensorRT's rule). Asymmetric: the range is widened
    to hold zero, ``scale = (high - low) / (qmax - qmin)`` and the zero point is rounded to an integer
    (the rule of ONNX's quantization). A range of zero width gets scale 1: every value in it is zero
    and is stored exactly, and TensorRT refuses a scale that is not positive.
    """
    if spec.symmetric:
        scale = np.asarray(chosen.amax / spec.qmax, np.float32)
        return Encoding(_positive(scale), np.zeros((), np.int64), spec)
    low, high = min(chosen.low, 0.0), max(chosen.high, 0.0)
    scale = _positive(np.asarray((high - low) / (spec.qmax - spec.qmin), np.float32))
    zero = np.clip(np.rint(spec.qmin - low / float(scale)), spec.qmin, spec.qmax)
    return Encoding(scale, np.asarray(zero, np.int64), spec)


def weight_encoding(weights: FloatArray, spec: QuantSpec) -> Encoding:
    """Encode a constant weight by its own largest magnitudes, symmetric.

    weights: any shape. Per channel, the scale has shape (weights.shape[axis],).
    """
    magnitudes = np.abs(weights)
    if isinstance(spec.granularity, PerChannel):
        others = tuple(a for a in range(weights.ndim) if a != spec.granularity.axis % weights.ndim)
        amax = magnitudes.max(axis=others, initial=0.0)
    else:
        amax = magnitudes.max(initial=0.0)
    scale = _positive(np.asarray(amax, np.float32) / np.float32(spec.qmax))
    return Encoding(scale, np.zeros(scale.shape, np.int64), spec)


def quantized(values: FloatArray, encoding: Encoding) -> NDArray[np.int64]:
    """Integers of ``values``: round half to even, then saturate (ONNX QuantizeLinear, TensorRT)."""
    scale, zero = _broadcast(encoding, values.ndim)
    # Saturated before the zero point is added, float32 holds every step exactly.
    lowest, highest = (
        (limit - zero).astype(np.float32) for limit in (encoding.spec.qmin, encoding.spec.qmax)
    )
    steps = np.clip(np.rint(values.astype(np.float32) / scale), lowest, highest)
    stored: NDArray[np.int64] = steps.astype(np.int64) + zero
    return stored


def dequantized(integers: NDArray[np.int64], encoding: Encoding) -> FloatArray:
    """Real values of ``integers``, float32."""
    scale, zero = _broadcast(encoding, integers.ndim)
    return ((integers - zero).astype(np.float32) * scale).astype(np.float32)


def on_axis(spec: QuantSpec, axis: int) -> QuantSpec:
    """The same spec with its channels along ``axis``; per-tensor specs stay as they are."""
    if isinstance(spec.granularity, PerTensor):
        return spec
    return dataclasses.replace(spec, granularity=dataclasses.replace(spec.granularity, axis=axis))


def _positive(scale: FloatArray) -> FloatArray:
    array = np.asarray(scale, np.float32)
    return np.where(array > _SMALLEST_SCALE, array, np.float32(1.0)).astype(np.float32)


def _broadcast(encoding: Encoding, ndim: int) -> tuple[FloatArray, NDArray[np.int64]]:
    if encoding.scale.ndim == 0 or not isinstance(encoding.spec.granularity, PerChannel):
        return encoding.scale, encoding.zero_point
    shape = [1] * ndim
    shape[encoding.spec.granularity.axis % ndim] = -1
    return encoding.scale.reshape(shape), encoding.zero_point.reshape(shape)
