"""TensorRT's rules for explicit quantization, checked on a Q/DQ model without TensorRT.

Stricter than a parser that only warns, or that builds something else than what was meant: unsigned integers
are read as signed ones, a missing zero point as a signed one, and float weights beside quantized data run in
float.
Source: NVIDIA's documentation of explicit quantization, and what TensorRT-RTX 1.7.1 refused or warned of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from calibrant.models.onnx.movement import JOINING_OPS, MOVING_OPS
from calibrant.models.onnx.walk import constant_tensor, is_compute, is_standard

# What TensorRT stores, and the first ONNX opset that can say so.
STORED_TYPES = {ir.DataType.INT8: 13, ir.DataType.FLOAT8E4M3FN: 19, ir.DataType.INT4: 21}
_WEIGHT_ONLY_TYPES = frozenset({ir.DataType.INT4})
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_UNKNOWN_TO_TENSORRT = frozenset({
    "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear",
})  # fmt: skip
_DATA, _WEIGHT, _BIAS = 0, 1, 2
_SCALE, _ZERO_POINT = 1, 2


@dataclass(frozen=True)
class Violation:
    """A place where a model breaks one of ``RULES``. node and tensor are names, empty for the whole model."""

    rule: str
    node: str
    tensor: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.node!r} ({self.tensor!r})" if self.tensor else repr(self.node) if self.node else ""
        return f"{place} {self.problem}; {self.remedy}".strip()


@dataclass(frozen=True)
class _Finding:
    problem: str
    remedy: str
    node: ir.Node | None = None
    value: ir.Value | None = None


Rule = Callable[[ir.Model], Iterator[_Finding]]


def violations(model: ir.Model) -> tuple[Violation, ...]:
    """Every place where a Q/DQ model breaks a rule of TensorRT's, in the order of ``RULES``."""
    return tuple(_violation(name, found) for name, rule in RULES.items() for found in rule(model))


# --- the rules -------------------------------------------------------------------------------------


def _opset_knows_the_types(model: ir.Model) -> Iterator[_Finding]:
    used = {_stored_type(node) for node in _qdq_nodes(model)}
    needed = max((STORED_TYPES[kind] for kind in used if kind in STORED_TYPES), default=0)
    opset = model.opset_imports.get("", 0)
    if opset < needed:
        yield _Finding(
            f"the model has opset {opset}, and its Q/DQ nodes need {needed}",
            f"convert it to opset {needed}",
        )


def _operators_are_known(model: ir.Model) -> Iterator[_Finding]:
    for node in _nodes(model):
        if node.op_type in _UNKNOWN_TO_TENSORRT:
            yield _Finding(f"is a {node.op_type}, which TensorRT lacks", "use Q/DQ nodes instead", node)
        elif node.op_type in (_QUANTIZE, _DEQUANTIZE) and node.domain:
            yield _Finding(f"is of domain {node.domain!r}", "use ONNX's own Q/DQ operators", node)


def _types_are_signed(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        kind = _stored_type(node)
        if kind is not None and kind not in STORED_TYPES:
            yield _Finding(
                f"stores {kind.name.lower()}, which TensorRT does not take",
                "quantize to int8 with zero point 0",
                node,
                node.inputs[_DATA],
            )


def _int4_is_for_weights(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        if _stored_type(node) in _WEIGHT_ONLY_TYPES and _quantized_constant(node) is None:
            yield _Finding("stores an activation in int4", "quantize activations to int8 or FP8", node)


def _zero_points_are_zero(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        value = _input(node, _ZERO_POINT)
        if value is None:
            continue
        tensor = constant_tensor(value)
        if tensor is None:
            yield _Finding("computes its zero point", "make it the constant 0", node, value)
        elif np.any(tensor.numpy().astype(np.float32) != 0):
            yield _Finding(
                "has a zero point other than 0", "quantize symmetrically, with zero point 0", node, value
            )


def _scales_are_positive(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        value = _input(node, _SCALE)
        tensor = constant_tensor(value)
        if tensor is None:
            yield _Finding("computes its scale", "make it a constant", node, value)
            continue
        scales = tensor.numpy().astype(np.float32)
        bad = scales[~(np.isfinite(scales) & (scales > 0))]
        if bad.size:
            yield _Finding(f"has a scale of {bad.flat[0]:g}", "give a finite one above 0", node, value)


def _activations_are_per_tensor(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        scale = constant_tensor(_input(node, _SCALE))
        if scale is not None and scale.size > 1 and _quantized_constant(node) is None:
            yield _Finding(
                f"gives an activation {scale.size} scales",
                "give it one for the whole tensor",
                node,
                node.inputs[_DATA],
            )


def _weights_are_per_output_channel(model: ir.Model) -> Iterator[_Finding]:
    for node in _layers(model):
        dequantize = _dequantized_by(node, _WEIGHT)
        axis = _channel_axis(dequantize) if dequantize is not None else None
        expected = _output_axis(node)
        if dequantize is not None and axis is not None and axis != expected:
            yield _Finding(
                f"has weight scales along axis {axis}",
                f"give {node.op_type} weights a scale for each output channel, axis {expected}",
                node,
                dequantize.inputs[_DATA],
            )


def _biases_are_float(model: ir.Model) -> Iterator[_Finding]:
    for node in _layers(model):
        if _dequantized_by(node, _BIAS) is not None:
            yield _Finding("has a quantized bias", "leave the bias in float", node, node.inputs[_BIAS])


def _quantized_values_are_dequantized(model: ir.Model) -> Iterator[_Finding]:
    for node in _qdq_nodes(model):
        if node.op_type == _QUANTIZE:
            value = node.outputs[0]
            strays = [use.node for use in value.uses() if not _takes_integers(use.node)]
            if value.is_graph_output() or strays:
                reader = f"{strays[0].op_type} {_label(strays[0])!r}" if strays else "an output of the model"
                yield _Finding(f"feeds {reader}", "put a DequantizeLinear between the two", node, value)


def _layers_are_quantized_on_both_sides(model: ir.Model) -> Iterator[_Finding]:
    for node in _layers(model):
        data, weight = _dequantized_by(node, _DATA), _dequantized_by(node, _WEIGHT)
        if weight is not None and data is None and _stored_type(weight) not in _WEIGHT_ONLY_TYPES:
            yield _Finding(
                "has quantized weights but reads float data, so it runs in float",
                "quantize its input too, or leave its weights float",
                node,
                node.inputs[_DATA],
            )
        elif data is not None and weight is None and constant_tensor(_input(node, _WEIGHT)) is not None:
            yield _Finding(
                "reads quantized data but has float weights, so it runs in float",
                "quantize its weights too, or leave its input float",
                node,
                node.inputs[_WEIGHT],
            )


RULES: Mapping[str, Rule] = {
    "the opset knows the types": _opset_knows_the_types,
    "operators are known": _operators_are_known,
    "types are signed": _types_are_signed,
    "int4 is for weights": _int4_is_for_weights,
    "zero points are zero": _zero_points_are_zero,
    "scales are positive": _scales_are_positive,
    "activations are per tensor": _activations_are_per_tensor,
    "weights are per output channel": _weights_are_per_output_channel,
    "biases are float": _biases_are_float,
    "quantized values are dequantized": _quantized_values_are_dequantized,
    "layers are quantized on both sides": _layers_are_quantized_on_both_sides,
}


def _violation(rule: str, found: _Finding) -> Violation:
    tensor = found.value.name if found.value is not None else None
    return Violation(rule, _label(found.node), tensor or "", found.problem, found.remedy)


# --- reading Q/DQ ----------------------------------------------------------------------------------


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    return iter(ir.traversal.RecursiveGraphIterator(model.graph))


def _qdq_nodes(model: ir.Model) -> Iterator[ir.Node]:
    return (node for node in _nodes(model) if is_standard(node, _QUANTIZE, _DEQUANTIZE))


def _layers(model: ir.Model) -> Iterator[ir.Node]:
    return (node for node in _nodes(model) if is_compute(node))


def _label(node: ir.Node | None) -> str:
    if node is None:
        return ""
    return node.name or f"{node.op_type} of {node.outputs[0].name}"


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _stored_type(node: ir.Node) -> ir.DataType | None:
    """The type of the integers; None where the graph does not tell. Without a zero point ONNX means uint8."""
    zero_point = _input(node, _ZERO_POINT)
    if zero_point is not None:
        return _type_of(zero_point)
    if node.op_type == _DEQUANTIZE:
        return _type_of(_input(node, _DATA))
    declared = node.attributes.get_int("output_dtype", 0)
    return ir.DataType(declared) if declared else ir.DataType.UINT8


def _type_of(value: ir.Value | None) -> ir.DataType | None:
    tensor = constant_tensor(value)
    if tensor is not None:
        return tensor.dtype
    return value.dtype if value is not None else None


def _quantized_constant(node: ir.Node) -> ir.TensorProtocol | None:
    """The weight that a Q or DQ node works on, as integers or as float with a pair; None: an activation."""
    source = _input(node, _DATA)
    producer = source.producer() if source is not None else None
    if producer is not None and is_standard(producer, _QUANTIZE):
        source = _input(producer, _DATA)
    return constant_tensor(source)


def _dequantized_by(node: ir.Node, index: int) -> ir.Node | None:
    """The DequantizeLinear that feeds an input, if one does."""
    value = _input(node, index)
    producer = value.producer() if value is not None else None
    return producer if producer is not None and is_standard(producer, _DEQUANTIZE) else None


def _channel_axis(node: ir.Node) -> int | None:
    """The axis of a per-channel Q/DQ node, counted from 0; None for one scale, or scales by block."""
    scale = constant_tensor(_input(node, _SCALE))
    if scale is None or scale.size < 2 or node.attributes.get_int("block_size", 0) > 0:
        return None
    axis: int = node.attributes.get_int("axis", 1)
    return axis if axis >= 0 else axis + _rank(node)


def _output_axis(node: ir.Node) -> int:
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    if node.op_type == "MatMul":
        dequantize = _dequantized_by(node, _WEIGHT)
        return _rank(dequantize) - 1 if dequantize is not None else 1
    return 1 if node.op_type == "ConvTranspose" else 0


def _rank(node: ir.Node) -> int:
    """How many dimensions a dequantized weight has."""
    weight = _quantized_constant(node)
    return len(weight.shape) if weight is not None else 2


def _takes_integers(node: ir.Node) -> bool:
    return is_standard(node, _DEQUANTIZE, "MaxPool", *MOVING_OPS, *JOINING_OPS)
