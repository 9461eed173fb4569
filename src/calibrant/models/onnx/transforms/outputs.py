"""Convolution outputs that are quantized: each channel takes all steps, what follows undoes that in float.

Where a target rounds what a convolution gives, one scale for all channels serves the widest: in a detector's
head, boxes and the logits of likely classes share it with logits far below zero. Scaled and centred in the
convolution's own weights and bias, which is exact, all channels fill one range; a Mul and an Add behind it
bring the true values back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.transforms.transformed import Change, Transformed
from calibrant.models.onnx.transforms.weights import (
    ConstantEditor,
    bias_of,
    is_mendable,
    require_channels,
    weight_of,
)
from calibrant.models.onnx.walk import UniqueNames, is_standard, name_of, value_names

# A channel that calibration never saw moving may move later: its range is not narrowed without limit.
SMALLEST_SHARE = 2.0**-10
# A target computes these together with the convolution before them: what is rounded is theirs.
ABSORBED_OPS = ("Clip", "Relu")


def outputs_equalized(
    model: Model, nodes: Collection[str], ranges: Mapping[str, tuple[FloatArray, FloatArray]]
) -> Transformed:
    """Scale and centre by channel what the convolutions ``nodes`` (to be quantized) give.

    ranges: for each output the smallest and the largest value of every channel, (C,), from calibration; those
    without are left alone. The result computes the same as ``model``, up to rounding; tensors keep their
    names but for what a convolution itself gives, ``<tensor>_normalized``. Changes are "normalized". Raises
    SettingsError where ``ranges`` do not fit a tensor's channels.
    """
    result = model.ir.clone()
    editor = _Editor(result)
    changes = []
    for node in list(result.graph):
        tensor = name_of(node.outputs[0])
        if name_of(node) not in nodes or tensor not in ranges or not is_mendable(node) or _is_absorbed(node):
            continue
        low, high = ranges[tensor]
        require_channels(low, len(weight_of(node)), tensor)
        widths = _half_widths(low, high)
        editor.normalize(node, widths, ((low + high) / 2).astype(np.float32))
        why = f"channels {2 * float(widths.min()):.3g} to {2 * float(widths.max()):.3g} wide"
        changes.append(Change("normalized", tensor, (name_of(node),), why))
    return Transformed(replace(model, ir=result), tuple(changes))


def _half_widths(low: FloatArray, high: FloatArray) -> FloatArray:
    """Half of what each channel spans, (C,); never nothing."""
    half = (high - low) / 2
    least = max(SMALLEST_SHARE * float(half.max()), float(np.finfo(np.float32).tiny))
    widths: FloatArray = np.maximum(half, np.float32(least)).astype(np.float32)
    return widths


def _is_absorbed(node: ir.Node) -> bool:
    return any(is_standard(use.node, *ABSORBED_OPS) for use in node.outputs[0].uses())


class _Editor:
    """Normalizes outputs in one graph in place; only outputs_equalized's own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._constants = ConstantEditor(model)
        self._names = UniqueNames(value_names(model))
        self._node_names = UniqueNames(name_of(node) for node in model.graph)

    def normalize(self, node: ir.Node, scales: FloatArray, centres: FloatArray) -> None:
        """Let a convolution give (what it gave - centres) / scales, and all others see what it gave."""
        weight, output = weight_of(node), node.outputs[0]
        spatial = [1] * (weight.ndim - 2)
        self._constants.set_bias(node, (bias_of(node) - centres) / scales)
        self._constants.set_weight(node, weight / scales.reshape(-1, 1, *spatial))
        tensor, uses = name_of(output), tuple(output.uses())
        output.name = self._names.fresh(f"{tensor}_normalized")
        scaled = self._behind(node, "Mul", output, f"{tensor}_scaled", scales.reshape(1, -1, *spatial))
        producer = scaled.producer()
        assert producer is not None
        true = self._behind(producer, "Add", scaled, tensor, centres.reshape(1, -1, *spatial))
        for use in uses:
            use.node.replace_input_with(use.idx, true)
        for index, given in enumerate(self._graph.outputs):
            if given is output:
                self._graph.outputs[index] = true

    def _behind(self, node: ir.Node, op_type: str, data: ir.Value, name: str, array: FloatArray) -> ir.Value:
        """What a new operator of ``data`` and a constant gives, behind ``node``."""
        constant = self._constants.constant(f"{name}_{op_type.lower()}", array)
        output = ir.Value(name=name, type=data.type, shape=data.shape.copy() if data.shape else None)
        new = ir.Node(
            "", op_type, [data, constant], outputs=[output], name=self._node_names.fresh(f"{name}_{op_type}")
        )
        self._graph.insert_after(node, new)
        return output
