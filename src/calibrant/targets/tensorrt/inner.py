"""Tensors that TensorRT has between two of its layers where ONNX has a single operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import onnx_ir as ir

from calibrant.models.onnx.model import Model, opset_of
from calibrant.models.onnx.walk import name_of
from calibrant.targets.tensorrt.network import Layer, parsed_network

# From this opset on a Gemm may have no bias.
_GEMM_WITHOUT_BIAS = 11


def with_inner_tensors(model: Model) -> Model:
    """A copy that also computes TensorRT's inner tensors, under TensorRT's names.

    They are a Gemm's product before its bias, HardSwish's gate, and the first results of a Sum, Min or Max
    of more than two tensors. The nodes come last: the parsed network stays the same.
    """
    result = model.ir.clone()
    twins = {name_of(node): node for node in result.graph}
    parts = Counter[str]()
    for layer in parsed_network(model).layers:
        if layer.node is None or layer.output == name_of(layer.node.outputs[0]):
            continue
        twin = twins[name_of(layer.node)]
        parts[name_of(twin)] += 1
        node = _computing(layer, twin, parts[name_of(twin)], opset_of(model))
        if node is not None:
            node.outputs[0].name = layer.output
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            result.graph.append(node)
    return replace(model, ir=result)


def _computing(layer: Layer, whole: ir.Node, part: int, opset: int) -> ir.Node | None:
    """A node for the ``part``-th inner tensor of ``whole``, counted from 1."""
    name = f"{name_of(whole)}_inner_{part}"
    if layer.op == "HardSigmoid":
        gate = [ir.AttrFloat32("alpha", 1 / 6), ir.AttrFloat32("beta", 0.5)]
        return ir.Node("", "HardSigmoid", whole.inputs, gate, name=name)
    if whole.op_type == "Gemm" and opset >= _GEMM_WITHOUT_BIAS:
        return ir.Node("", "Gemm", whole.inputs[:2], [*whole.attributes.values()], name=name)
    if layer.kind == "ElementWise":
        return ir.Node("", whole.op_type, whole.inputs[: part + 1], name=name)
    return None
