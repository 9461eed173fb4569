"""Bias correction: what rounding the weights adds to a channel on average is taken from its bias.

Rounded weights differ from the true ones by a little that does not depend on the image. Where inputs are not
zero on average, as behind every ReLU, a channel's output then is off by a constant, which grows from layer to
layer. Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
section 4.2. Clipped and rounded inputs are left out: correcting for them was measured to harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from calibrant.core.quantize import on_axis
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.transforms.transformed import Change, Transformed
from calibrant.models.onnx.transforms.weights import (
    DATA,
    ConstantEditor,
    as_stored,
    bias_of,
    constant_response,
    input_channels,
    is_mendable,
    require_channels,
    weight_of,
)
from calibrant.models.onnx.walk import name_of


def bias_corrected(
    model: Model, plan: QuantPoints, weights: QuantSpec, means: Mapping[str, FloatArray]
) -> Transformed:
    """Correct the biases of the convolutions whose weights ``plan`` quantizes under ``weights``.

    means: for each activation that they read the mean of every channel, (C,), from calibration of this very
    model (so after equalizing); those without are left alone. Zeros around an image are taken to have the
    channel's mean too. The float model changes: it is right once its weights are stored as integers.
    Changes are "corrected". Raises SettingsError where ``means`` does not fit a tensor's channels.
    """
    result = model.ir.clone()
    editor = ConstantEditor(result)
    nodes = {name_of(node): node for node in result.graph if is_mendable(node)}
    changes = []
    for point in plan.weights:
        node = nodes.get(point.node)
        source = node.inputs[DATA] if node is not None else None
        if node is None or source is None or name_of(source) not in means:
            continue
        spec = on_axis(weights, point.axis)
        surplus = _mean_surplus(node, spec, name_of(source), means[name_of(source)])
        editor.set_bias(node, bias_of(node) - surplus)
        largest = float(np.abs(surplus).max(initial=0.0))
        changes.append(Change("corrected", point.tensor, (point.node,), f"by up to {largest:.3g}"))
    return Transformed(replace(model, ir=result), tuple(changes))


def _mean_surplus(node: ir.Node, spec: QuantSpec, source: str, mean: FloatArray) -> FloatArray:
    """By how much stored weights raise the mean of each output channel, (out,)."""
    require_channels(mean, input_channels(node), source)
    weight = weight_of(node)
    return constant_response(node, as_stored(weight, spec) - weight, mean)
