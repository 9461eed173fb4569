"""Models exported with ``half=True``: their 16-bit floats become float32, under the same names.

Quantizing starts from float32, and so does what is measured against it. Whoever feeds the model feeds
float32, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from calibrant.models.onnx.walk import constant_tensor, is_compute, is_standard

_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_TYPE_ATTRIBUTES = ("to", "dtype")
_WEIGHT = 1


def is_half(model: ir.Model) -> bool:
    """Whether a model takes or gives 16-bit floats, or has a weight of such."""
    ends = (*model.graph.inputs, *model.graph.outputs)
    return any(value.dtype in _HALF for value in ends) or any(
        (weight := constant_tensor(node.inputs[_WEIGHT])) is not None and weight.dtype in _HALF
        for node in model.graph
        if is_compute(node)
    )


def in_float32(model: ir.Model) -> ir.Model:
    """A copy whose 16-bit floats are float32; casts from and to them are gone."""
    result = model.clone()
    for graph in result.graphs():
        for value in ir.convenience.create_value_mapping(graph, include_subgraphs=False).values():
            _widen_value(value)
    for node in list(ir.traversal.RecursiveGraphIterator(result.graph)):
        _widen_attributes(node)
        if is_standard(node, "Cast") and node.attributes.get_int("to", 0) == ir.DataType.FLOAT:
            _remove_copy(node)
    return result


def _widen_value(value: ir.Value) -> None:
    if isinstance(value.type, ir.TensorType) and value.dtype in _HALF:
        value.type = ir.TensorType(ir.DataType.FLOAT)
    if value.const_value is not None:
        value.const_value = _widened(value.const_value)


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """Converted when it is read: the file has half the bytes."""
    if tensor.dtype not in _HALF:
        return tensor
    return ir.LazyTensor(
        lambda: ir.Tensor(np.asarray(tensor.numpy(), np.float32)),
        dtype=ir.DataType.FLOAT,
        shape=ir.Shape(tensor.shape.numpy()),
        name=tensor.name,
    )


def _widen_attributes(node: ir.Node) -> None:
    changed: dict[str, Any] = {}
    for name, attribute in node.attributes.items():
        if attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            if tensor.dtype in _HALF:
                changed[name] = ir.AttrTensor(name, ir.Tensor(np.asarray(tensor.numpy(), np.float32)))
        elif (
            attribute.type == ir.AttributeType.INT
            and name in _TYPE_ATTRIBUTES
            and attribute.as_int() in _HALF
        ):
            changed[name] = ir.AttrInt64(name, ir.DataType.FLOAT)
    node.attributes.update(changed)


def _remove_copy(cast: ir.Node) -> None:
    """A cast from float32 to float32 only copies; one that an output or a body needs stays."""
    source, result = cast.inputs[0], cast.outputs[0]
    is_plain = source is not None and source.dtype == ir.DataType.FLOAT and not result.is_graph_output()
    if is_plain and source is not None and cast.graph is not None:
        ir.convenience.replace_all_uses_with(result, source)
        cast.graph.remove(cast, safe=True)
