"""Biases as int32, for targets that add them to the products before rounding.

The scale of a product is the input's times the weight's, and the bias takes it: one addition of integers is
left. Source: ONNX QLinearConv, whose bias has this scale and zero point 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.core.types import Encoding, FloatArray, PerChannel, QuantSpec
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.walk import constant_tensor, name_of

BIAS_INPUT = 2
# Half of what int32 holds: the products are added in the same register.
_LARGEST_STEPS = 2**30
_BIAS = QuantSpec("int32", symmetric=True, granularity=PerChannel(0))


@dataclass(frozen=True)
class BiasPoint:
    """A constant bias that is quantized. values: (C,), real units; input_scale: of the node's data input."""

    tensor: str
    node: str
    values: FloatArray
    input_scale: float


def bias_points(
    model: ir.Model, plan: QuantPoints, encodings: Mapping[str, Encoding]
) -> dict[str, BiasPoint]:
    """The bias of every weighted node of the plan that has a constant one of one dimension, by node."""
    sources = {reader: point.encoded_as for point in plan.activations for reader in point.consumers}
    weighted = {point.node for point in plan.weights}
    found = {}
    for node in model.graph:
        name = name_of(node)
        if name not in weighted or len(node.inputs) <= BIAS_INPUT or (name, 0) not in sources:
            continue
        bias, tensor = node.inputs[BIAS_INPUT], constant_tensor(node.inputs[BIAS_INPUT])
        if bias is not None and tensor is not None and _is_plain(node) and len(tensor.shape) == 1:
            scale = float(encodings[sources[name, 0]].scale)
            found[name] = BiasPoint(name_of(bias), name, tensor.numpy().astype(np.float32), scale)
    return found


def with_room_for(biases: Sequence[BiasPoint], weight: Encoding) -> Encoding:
    """A weight's encoding, coarser in those channels whose bias would not fit into int32 otherwise.

    Their weights are tiny beside their bias, so that nothing is lost.
    """
    scale = weight.scale
    for bias in biases:
        needed = np.abs(bias.values) / (np.float32(bias.input_scale) * _LARGEST_STEPS)
        scale = np.maximum(scale, needed if scale.ndim else needed.max(initial=0.0))
    return dataclasses.replace(weight, scale=scale.astype(np.float32))


def bias_encoding(bias: BiasPoint, weight: Encoding) -> Encoding:
    """The scale of the products: the input's times the weight's, (C,); zero points are 0."""
    products = np.maximum(np.float32(bias.input_scale) * weight.scale, np.finfo(np.float32).tiny)
    scale = np.broadcast_to(products, bias.values.shape).astype(np.float32)
    return Encoding(scale, np.zeros(scale.shape, np.int64), _BIAS)


def quantized_bias(bias: BiasPoint, encoding: Encoding) -> NDArray[np.int64]:
    """A bias in whole steps, (C,)."""
    steps: NDArray[np.int64] = np.rint(bias.values.astype(np.float64) / encoding.scale).astype(np.int64)
    return steps


def _is_plain(node: ir.Node) -> bool:
    """Whether the bias is added as it is: Gemm may multiply it, or its products."""
    return node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
