"""From a range to an encoding, and the arithmetic of quantized numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.formats import largest_magnitudes, scale_shape, spread
from calibrant.core.types import Encoding, FloatArray, PerBlock, PerChannel, PerTensor, QuantSpec, Range

_SMALLEST_SCALE = np.float32(np.finfo(np.float32).tiny)


def encoding_of(chosen: Range, spec: QuantSpec) -> Encoding:
    """Encode a per-tensor activation range.

    Symmetric: ``scale = amax / qmax``, zero point 0 (TensorRT's rule). Asymmetric: the range is widened
    to hold zero, ``scale = (high - low) / (qmax - qmin)`` and the zero point is rounded to an integer
    (the rule of ONNX's quantization). A range of zero width gets scale 1: every value in it is zero
    and is stored exactly, and TensorRT refuses a scale that is not positive. Raises SettingsError for a spec
    that is not per tensor: one range says nothing about channels or blocks.
    """
    if not isinstance(spec.granularity, PerTensor):
        raise SettingsError(
            f"an activation has one range, and {spec.granularity} needs more; "
            "set its granularity to PerTensor()"
        )
    if spec.symmetric:
        scale = np.asarray(chosen.amax / spec.qmax, np.float32)
        return Encoding(_positive(scale), np.zeros((), np.int64), spec)
    low, high = min(chosen.low, 0.0), max(chosen.high, 0.0)
    scale = _positive(np.asarray((high - low) / (spec.qmax - spec.qmin), np.float32))
    zero = np.clip(np.rint(spec.qmin - low / float(scale)), spec.qmin, spec.qmax)
    return Encoding(scale, np.asarray(zero, np.int64), spec)


def weight_encoding(weights: FloatArray, spec: QuantSpec) -> Encoding:
    """Encode a constant weight by its own largest magnitudes, symmetric.

    weights: any shape. Per channel, the scale has shape (weights.shape[axis],); per block, that of the
    weights with the axis divided by the blocks' size. Raises SettingsError where blocks do not divide it.
    """
    amax = largest_magnitudes(weights, spec.granularity)
    if isinstance(spec.granularity, PerChannel):
        amax = amax.reshape(-1)
    scale = _positive(np.asarray(amax, np.float32) / np.float32(spec.qmax))
    return Encoding(scale, np.zeros(scale.shape, np.int64), spec)


def quantized(values: FloatArray, encoding: Encoding) -> NDArray[np.int64]:
    """Integers of ``values``: round half to even, then saturate (ONNX QuantizeLinear, TensorRT)."""
    scale, zero = _broadcast(encoding, values.shape)
    # Saturated before the zero point is added, float32 holds every step exactly.
    lowest, highest = (
        (limit - zero).astype(np.float32) for limit in (encoding.spec.qmin, encoding.spec.qmax)
    )
    steps = np.clip(np.rint(values.astype(np.float32) / scale), lowest, highest)
    stored: NDArray[np.int64] = steps.astype(np.int64) + zero
    return stored


def dequantized(integers: NDArray[np.int64], encoding: Encoding) -> FloatArray:
    """Real values of ``integers``, float32."""
    scale, zero = _broadcast(encoding, integers.shape)
    return ((integers - zero).astype(np.float32) * scale).astype(np.float32)


def on_axis(spec: QuantSpec, axis: int) -> QuantSpec:
    """The same spec with its channels or blocks along ``axis``; specs without an axis stay as they are."""
    if not isinstance(spec.granularity, PerChannel | PerBlock):
        return spec
    return dataclasses.replace(spec, granularity=dataclasses.replace(spec.granularity, axis=axis))


def _positive(scale: FloatArray) -> FloatArray:
    array = np.asarray(scale, np.float32)
    return np.where(array > _SMALLEST_SCALE, array, np.float32(1.0)).astype(np.float32)


def _broadcast(encoding: Encoding, shape: tuple[int, ...]) -> tuple[FloatArray, NDArray[np.int64]]:
    granularity, scale, zero = encoding.spec.granularity, encoding.scale, encoding.zero_point
    if isinstance(granularity, PerChannel) and scale.ndim:
        along = scale_shape(shape, granularity)
        scale, zero = scale.reshape(along), zero.reshape(along)
    return spread(scale, shape, granularity), spread(zero, shape, granularity)
