"""What quantizing a weight loses, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.quantize import dequantized, on_axis, quantized, weight_encoding
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints, WeightPoint
from calibrant.models.onnx.walk import constant_tensor, name_of


@dataclass(frozen=True)
class WeightError:
    """One weight, by output channel: arrays of shape (C,).

    amax: largest magnitudes. signal, noise: sums of squares of the values and of what rounding changes.
    """

    amax: NDArray[np.float64]
    signal: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def spread(self) -> float:
        """The largest over the smallest channel maximum, zeros left out; 1 where all are zero."""
        moving = self.amax[self.amax > 0]
        return float(moving.max() / moving.min()) if moving.size else 1.0

    @property
    def worst_channel(self) -> int:
        """The channel with the most noise for its signal; channels of zeros have none."""
        relative = np.divide(self.noise, self.signal, out=np.zeros_like(self.noise), where=self.signal > 0)
        return int(relative.argmax())


def weight_error(weight: FloatArray, spec: QuantSpec, axis: int) -> WeightError:
    """The error of storing ``weight`` (any shape, channels along ``axis``) under ``spec``."""
    encoding = weight_encoding(weight, on_axis(spec, axis))
    channels = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float64)
    stored = np.moveaxis(dequantized(quantized(weight, encoding), encoding), axis, 0)
    noise = stored.reshape(channels.shape) - channels
    amax: NDArray[np.float64] = np.abs(channels).max(axis=1, initial=0.0)
    return WeightError(amax, np.square(channels).sum(axis=1), np.square(noise).sum(axis=1))


def weights_of(model: Model, plan: QuantPoints) -> dict[WeightPoint, FloatArray]:
    """The constant weight of every point of the plan."""
    nodes = {name_of(node): node for node in model.ir.graph}
    found = {}
    for point in plan.weights:
        tensor = constant_tensor(nodes[point.node].inputs[point.input_index])
        assert tensor is not None
        found[point] = tensor.numpy().astype(np.float32)
    return found
