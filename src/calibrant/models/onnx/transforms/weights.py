"""Reading and replacing the constants of convolutions in a graph of one's own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from calibrant.core.errors import SettingsError
from calibrant.core.quantize import dequantized, quantized, weight_encoding
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.models.onnx.walk import UniqueNames, constant_tensor, is_standard, name_of, value_names

DATA, WEIGHT, BIAS = 0, 1, 2


def is_mendable(node: ir.Node) -> bool:
    """Whether a node is a convolution with float32 constants and a computed input, outside subgraphs."""
    if not is_standard(node, "Conv") or node.inputs[DATA] is None:
        return False
    constants = [constant_tensor(value) for value in node.inputs[WEIGHT:] if value is not None]
    if constant_tensor(node.inputs[DATA]) is not None:
        return False
    return all(tensor is not None and tensor.dtype == ir.DataType.FLOAT for tensor in constants)


def is_depthwise(node: ir.Node) -> bool:
    """Whether each output channel of a convolution reads one input channel, maybe the same as others do.

    Then the weight's own scales, one for each output channel, absorb whatever scales an input channel.
    """
    return groups(node) > 1 and weight_of(node).shape[1] == 1


def groups(node: ir.Node) -> int:
    """In how many groups a convolution's channels are."""
    return node.attributes.get_int("group", 1)


def weight_of(node: ir.Node) -> FloatArray:
    """A convolution's weight, (out, in / groups, ...)."""
    tensor = constant_tensor(node.inputs[WEIGHT])
    assert tensor is not None
    weight: FloatArray = tensor.numpy()
    return weight


def bias_of(node: ir.Node) -> FloatArray:
    """A convolution's bias, (out,); zeros where it has none."""
    tensor = constant_tensor(node.inputs[BIAS]) if len(node.inputs) > BIAS else None
    if tensor is None:
        return np.zeros(weight_of(node).shape[0], np.float32)
    bias: FloatArray = tensor.numpy()
    return bias


def input_channels(node: ir.Node) -> int:
    """How many channels a convolution reads."""
    return int(weight_of(node).shape[1]) * groups(node)


def says_its_pads(node: ir.Node) -> bool:
    """Whether a convolution says itself how much it pads."""
    return node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


def require_channels(measured: FloatArray, channels: int, tensor: str) -> None:
    """Raise SettingsError where not so many channels of a tensor were measured, (C,)."""
    if measured.shape != (channels,):
        raise SettingsError(
            f"{measured.size} channels were measured of {tensor!r}, which has {channels}; "
            "measure this model again"
        )


def as_stored(weight: FloatArray, spec: QuantSpec) -> FloatArray:
    """A weight as it comes back from the integers that ``spec`` stores."""
    encoding = weight_encoding(weight, spec)
    return dequantized(quantized(weight, encoding), encoding)


def constant_response(node: ir.Node, weight: FloatArray, values: FloatArray) -> FloatArray:
    """What a convolution with this weight gives, without bias, where its inputs are constant, (out,).

    values: (C,), one for each input channel; padding is taken to have them, too.
    """
    count, outputs, inputs = groups(node), *weight.shape[:2]
    by_input = weight.astype(np.float64).reshape(count, outputs // count, inputs, -1).sum(axis=-1)
    by_group = np.einsum("goi,gi->go", by_input, values.astype(np.float64).reshape(count, inputs))
    response: FloatArray = by_group.reshape(outputs).astype(np.float32)
    return response


class ConstantEditor:
    """Gives the nodes of one graph other constants; only a pass's own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._names = UniqueNames(value_names(model))

    def set_weight(self, node: ir.Node, weight: FloatArray) -> None:
        """Let a convolution read another weight; other readers of the old one keep it."""
        self._set(node, WEIGHT, weight)

    def set_bias(self, node: ir.Node, bias: FloatArray) -> None:
        """Let a convolution read another bias, or get one."""
        if len(node.inputs) <= BIAS:
            node.resize_inputs(BIAS + 1)
        self._set(node, BIAS, bias)

    def constant(self, wish: str, array: FloatArray) -> ir.Value:
        """A new initializer, called ``wish`` where that name is free."""
        name = self._names.fresh(wish)
        tensor = ir.Tensor(np.asarray(array, np.float32, order="C"), name=name)
        shape = ir.Shape(array.shape)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=shape, const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def _set(self, node: ir.Node, index: int, array: FloatArray) -> None:
        old = node.inputs[index]
        wish = name_of(old) if old is not None else f"{name_of(node)}_bias"
        if old is not None and old.is_initializer() and len(old.uses()) == 1 and not old.is_graph_output():
            old.const_value = ir.Tensor(np.ascontiguousarray(array, np.float32), name=old.name)
        else:
            node.replace_input_with(index, self.constant(f"{wish}_transformed", array))
