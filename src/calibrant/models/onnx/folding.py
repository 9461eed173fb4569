"""Weights that exporters leave half-made: constants behind Cast, Reshape, Mul and the like become constants.

Only what leads to a weight or a bias is folded; the rest of the graph stays as it was exported. Operators
are computed by ONNX's own reference implementation, in numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.models.onnx.walk import constant_tensor, is_compute, is_standard, name_of, own_constant

# What is computed from constants alone, the same every time, at a cost like that of reading it.
_FOLDED = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "Div", "Exp", "Expand",
    "Flatten", "Floor", "Gather", "Identity", "Log", "Max", "Min", "Mul", "Neg", "Pad", "Pow", "Reciprocal",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "ReduceL2", "Reshape", "Round",
    "Shape", "Sigmoid", "Sign", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
_WEIGHT, _BIAS = 1, 2
# A few bytes may ask for any size: nothing on the way may exceed what the constants hold by more.
_MOST_GROWTH = 4
_SMALL_BYTES = 1 << 20


def fold_weights(model: ir.Model) -> int:
    """Put a constant where a weight or bias is computed from constants, and say how many were.

    Edits ``model``, whose shapes are inferred; tensors keep their names. What cannot be computed stays.
    """
    constants = _constant_nodes(model.graph)
    folded = 0
    for node in list(model.graph):
        for value in _parameters_of(node):
            if value.producer() in constants:
                found = _computed(model, value, _cone(value))
                if found is not None:
                    _put_in_place(model.graph, value, found)
                    folded += 1
    return folded


def _constant_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes whose results follow from constants alone, and are no outputs of the graph."""
    found: set[ir.Node] = set()
    for node in graph:
        if is_standard(node, *_FOLDED) and not any(value.is_graph_output() for value in node.outputs):
            sources = [source for source in node.inputs if source is not None]
            if all(source.producer() in found or own_constant(source) is not None for source in sources):
                found.add(node)
    return found


def _parameters_of(node: ir.Node) -> Iterator[ir.Value]:
    """Weight and bias of a node, where they are computed."""
    if is_compute(node):
        for value in node.inputs[_WEIGHT : _BIAS + 1]:
            if value is not None and value.producer() is not None and constant_tensor(value) is None:
                yield value


def _cone(value: ir.Value) -> list[ir.Node]:
    """The nodes that compute a value from constants, in order."""
    order: dict[ir.Node, None] = {}
    stack = [(value.producer(), False)]
    while stack:
        node, is_ready = stack.pop()
        if node is None or node in order:
            continue
        if is_ready:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((source.producer(), False) for source in node.inputs if source is not None)
    return [*order]


def _computed(model: ir.Model, value: ir.Value, cone: list[ir.Node]) -> NDArray[Any] | None:
    leaves = {
        source: source.const_value
        for node in cone
        for source in node.inputs
        if source is not None and source.producer() is None and source.const_value is not None
    }
    held = sum(tensor.nbytes for tensor in leaves.values()) + sum(_held_by(node) for node in cone)
    most = max(_SMALL_BYTES, _MOST_GROWTH * held)
    if not all(_has_at_most(most, result) for node in cone for result in node.outputs):
        return None
    return _evaluated(model, value, cone, leaves)


def _held_by(node: ir.Node) -> int:
    tensor = own_constant(node.outputs[0])
    return tensor.nbytes if tensor is not None else 0


def _has_at_most(most: float, value: ir.Value) -> bool:
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return False
    return math.prod(value.shape.numpy()) * value.dtype.itemsize <= most


def _evaluated(
    model: ir.Model, value: ir.Value, cone: list[ir.Node], leaves: dict[ir.Value, ir.TensorProtocol]
) -> NDArray[Any] | None:
    import onnx  # here, as few models need it and it takes a third of a second
    from onnx.reference import ReferenceEvaluator

    try:
        graph = onnx.helper.make_graph(
            [ir.serde.serialize_node(node) for node in cone],
            "constants",
            [
                onnx.helper.make_tensor_value_info(name_of(leaf), tensor.dtype.value, [*tensor.shape.numpy()])
                for leaf, tensor in leaves.items()
            ],
            [onnx.helper.make_empty_tensor_value_info(name_of(value))],
        )
        opsets = [onnx.helper.make_opsetid(*opset) for opset in model.opset_imports.items()]
        evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets))
        (found,) = evaluator.run(None, {name_of(leaf): tensor.numpy() for leaf, tensor in leaves.items()})
    except Exception:  # an operator without a reference, or whose attributes make no sense: it stays
        return None
    if value.dtype is None or not isinstance(found, np.ndarray) or found.dtype != value.dtype.numpy():
        return None
    return found


def _put_in_place(graph: ir.Graph, value: ir.Value, found: NDArray[Any]) -> None:
    """Make ``found`` the initializer of a value's name, and remove what computed it for nobody else."""
    name, producer = name_of(value), value.producer()
    assert producer is not None
    tensor = ir.Tensor(found, name=name)
    constant = ir.Value(name=name, type=value.type, shape=tensor.shape, const_value=tensor)
    value.name = f"{name}_computed"
    ir.convenience.replace_all_uses_with(value, constant)
    graph.register_initializer(constant)
    _remove_unread(graph, producer)


def _remove_unread(graph: ir.Graph, last: ir.Node) -> None:
    waiting = [last]
    while waiting:
        node = waiting.pop()
        if node.graph is not graph or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        sources = [source for source in node.inputs if source is not None]
        graph.remove(node, safe=True)
        waiting.extend(producer for source in sources if (producer := source.producer()) is not None)
        for source in sources:
            if source.is_initializer() and not source.uses() and not source.is_graph_output():
                del graph.initializers[name_of(source)]
