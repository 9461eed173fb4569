"""What a model costs: multiply-accumulates and weights, by node, for one sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from calibrant.models.onnx.model import Model, with_input_shapes
from calibrant.models.onnx.walk import UniqueNames, constant_tensor, is_compute, name_of, value_names

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors, by name."""


@dataclass(frozen=True)
class NodeCost:
    """A convolution or matrix product: ``macs`` is None where the shapes are unknown.

    parameters: how many constant weights and biases it reads.
    """

    node: str
    op_type: str
    macs: int | None
    parameters: int


def costs(model: Model, seen: Shapes | None = None) -> tuple[NodeCost, ...]:
    """Cost of every Conv, ConvTranspose, Gemm and MatMul outside subgraphs, in topological order.

    An open batch dimension counts as 1. seen: the shapes that tensors had in a run, which count more than
    what the file says.
    """
    graph = with_batch_of_one(model.ir).graph
    return tuple(
        NodeCost(name_of(node), node.op_type, _macs(node, seen or {}), _parameters(node))
        for node in graph
        if is_compute(node)
    )


def with_shapes_shown(model: Model) -> tuple[ir.Model, dict[str, str]]:
    """A copy that also outputs the shapes that :func:`costs` needs: the outputs by the tensors' names."""
    result = model.ir.clone()
    names, node_names = UniqueNames(value_names(result)), UniqueNames(map(name_of, result.graph))
    values = [
        value
        for node in result.graph
        if is_compute(node)
        for value in (*node.inputs[:2], node.outputs[0])
        if value is not None
    ]
    shown: dict[str, str] = {}
    for value in dict.fromkeys(values):
        name = names.fresh(f"{value.name}_shape")
        output = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([None]))
        result.graph.append(ir.Node("", "Shape", [value], outputs=[output], name=node_names.fresh(name)))
        result.graph.outputs.append(output)
        shown[name_of(value)] = name
    return result, shown


def total_macs(nodes: Iterable[NodeCost]) -> int | None:
    """Their sum, or None where one is unknown."""
    macs = [cost.macs for cost in nodes]
    return None if None in macs else sum(count for count in macs if count is not None)


def total_parameters(nodes: Iterable[NodeCost]) -> int:
    """Their sum; a weight that several nodes share counts for each."""
    return sum(cost.parameters for cost in nodes)


def with_batch_of_one(model: ir.Model) -> ir.Model:
    """The model with an open batch dimension fixed at 1, and all shapes that follow."""
    shapes = {name_of(value): list(value.shape) for value in model.graph.inputs if value.shape}
    open_batch = {
        name: [1, *(dim if isinstance(dim, int) else None for dim in dims[1:])]
        for name, dims in shapes.items()
        if not isinstance(dims[0], int)
    }
    return with_input_shapes(model, open_batch) if open_batch else model


def _macs(node: ir.Node, seen: Shapes) -> int | None:
    data, weight, result = (_dims(value, seen) for value in (*node.inputs[:2], node.outputs[0]))
    if data is None or not weight or result is None:
        return None
    if node.op_type == "Conv":
        return math.prod(result) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(data) * math.prod(weight[1:])
    sums_last_axis = len(weight) == 1 or node.attributes.get_int("transB", 0) != 0
    return math.prod(result) * weight[-1 if sums_last_axis else -2]


def _dims(value: ir.Value | None, seen: Shapes) -> tuple[int, ...] | None:
    if value is not None and value.name in seen:
        return seen[name_of(value)]
    shape = value.shape if value is not None else None
    return shape.numpy() if shape is not None and shape.is_static() else None


def _parameters(node: ir.Node) -> int:
    tensors = (constant_tensor(value) for value in node.inputs)
    return sum(tensor.size for tensor in tensors if tensor is not None)
