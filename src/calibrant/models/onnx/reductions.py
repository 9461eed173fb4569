"""What a tensor's channels look like, computed by the model itself: a few numbers a channel as outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from calibrant.core.errors import SettingsError
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.walk import UniqueNames, is_standard, name_of, value_names

# Their axes became an input in opset 18.
_AXES_AS_INPUT_SINCE = 18
_FEWEST_DIMENSIONS = 2


@dataclass(frozen=True)
class ChannelOutputs:
    """The outputs, each of shape (C,), that hold a tensor's largest, smallest and mean value by channel."""

    high: str
    low: str
    mean: str


def with_channel_reductions(
    model: Model, tensors: Sequence[str]
) -> tuple[ir.Model, dict[str, ChannelOutputs]]:
    """A copy that also outputs each tensor's maximum, minimum and mean by channel.

    Channels lie along axis 1, or the last axis of what a matrix product reads. The new outputs follow the
    model's own; they are all small, so that any runtime hands them over without being slowed by copies.
    Raises SettingsError for a tensor that the model does not have, or whose number of dimensions is unknown
    or below 2.
    """
    result = model.ir.clone()
    editor = _Editor(result)
    return result, {tensor: editor.reduce(tensor) for tensor in dict.fromkeys(tensors)}


def with_channels(model: Model, tensors: Sequence[str]) -> list[str]:
    """Those of ``tensors`` of which the file says that they have two dimensions or more."""
    values = ir.convenience.create_value_mapping(model.ir.graph, include_subgraphs=False)
    shapes = {name: value.shape for name, value in values.items()}
    return [name for name in tensors if len(shapes.get(name) or ()) >= _FEWEST_DIMENSIONS]


def channel_axis(value: ir.Value) -> int:
    """The axis of a tensor's channels, counted from 0. Raises SettingsError where it has none."""
    rank = len(value.shape) if value.shape is not None else 0
    if rank < _FEWEST_DIMENSIONS:
        raise SettingsError(f"tensor {value.name!r} has no channels that are known; name another one")
    readers = [use.node for use in value.uses()]
    is_matrix = any(is_standard(node, "MatMul", "Gemm") for node in readers)
    return rank - 1 if is_matrix else 1


class _Editor:
    """Adds outputs to one graph in place; only with_channel_reductions' own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph, self._opset = model.graph, model.opset_imports.get("", 0)
        self._values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False)
        self._names = UniqueNames(value_names(model))
        self._node_names = UniqueNames(name_of(node) for node in model.graph)

    def reduce(self, tensor: str) -> ChannelOutputs:
        value = self._values.get(tensor)
        if value is None:
            raise SettingsError(f"the model has no tensor {tensor!r}; name one of its activations")
        kept = channel_axis(value)
        assert value.shape is not None
        others = [axis for axis in range(len(value.shape)) if axis != kept]
        high, low, mean = (self._add(op, value, others) for op in ("ReduceMax", "ReduceMin", "ReduceMean"))
        return ChannelOutputs(high, low, mean)

    def _add(self, op_type: str, value: ir.Value, axes: Sequence[int]) -> str:
        name = self._names.fresh(f"{value.name}_{op_type}")
        output = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([None]))
        inputs, attributes = [value], [ir.AttrInt64("keepdims", 0)]
        if self._opset >= _AXES_AS_INPUT_SINCE:
            inputs.append(self._constant(f"{name}_axes", axes))
        else:
            attributes.append(ir.AttrInt64s("axes", axes))
        node_name = self._node_names.fresh(name)
        self._graph.append(ir.Node("", op_type, inputs, attributes, outputs=[output], name=node_name))
        self._graph.outputs.append(output)
        return name

    def _constant(self, wish: str, axes: Sequence[int]) -> ir.Value:
        name = self._names.fresh(wish)
        tensor = ir.tensor(list(axes), dtype=ir.DataType.INT64, name=name)
        value = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape([len(axes)]), const_value=tensor
        )
        self._graph.register_initializer(value)
        return value
