"""The network that TensorRT 8.5's ONNX parser makes of a model: its layers, and the names of their outputs.

A calibration cache names tensors of this network. Those that the model does not name are called after the
index of their layer, ``(Unnamed Layer* 7) [Shuffle]_output``, so every layer counts, also one that vanishes
later. Read off TensorRT 8.5.1.7 (docs/tensorrt-calibrators.md); an operator that is not in the table below
is taken to be one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.models.onnx.model import Model, opset_of
from calibrant.models.onnx.walk import is_standard, name_of, own_constant

BROADCAST = "Broadcast"
GEMM_BIAS = "GemmBias"
# A Shuffle can transpose, reshape and transpose in one layer; DepthToSpace begins with such a one.
RESHAPE, TRANSPOSE, TURNED_RESHAPE = "Reshape", "Transpose", "TransposedReshape"


@dataclass(frozen=True)
class Layer:
    """One layer of the parsed network.

    kind: its type in TensorRT's words, e.g. ``Shuffle``, or the ONNX operator where no name needs it.
    op: what it computes: the ONNX operator, or one of this module's names. rank: dimensions of the output,
    None: unknown. node: the operator that the layer is, or is a part of. constant: the values of a Constant
    layer. same_values_as: the tensor, if any, whose values the output repeats in the same or another shape.
    """

    kind: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rank: int | None = None
    is_float: bool = True
    node: ir.Node | None = None
    constant: NDArray[Any] | None = None
    same_values_as: str | None = None

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Network:
    """The layers from which an output is reached, in order, with the network's own inputs and outputs."""

    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: frozenset[str]

    @cached_property
    def producers(self) -> dict[str, Layer]:
        """The layer that computes each tensor."""
        return {output: layer for layer in self.layers for output in layer.outputs}

    @cached_property
    def readers(self) -> dict[str, list[Layer]]:
        """The layers that read each tensor, one entry for each time."""
        found: dict[str, list[Layer]] = {}
        for layer in self.layers:
            for tensor in layer.inputs:
                found.setdefault(tensor, []).append(layer)
        return found

    def only_reader(self, tensor: str) -> Layer | None:
        """The one layer for which a tensor is made; None for several and for an output of the network."""
        readers = self.readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    def constant_operand(self, layer: Layer) -> NDArray[Any] | None:
        """The constant among a layer's inputs, also behind the Shuffle that broadcasts it."""
        for tensor in layer.inputs:
            producer = self.producers.get(tensor)
            if producer is not None and producer.op == BROADCAST:
                producer = self.producers.get(producer.inputs[0])
            if producer is not None and producer.constant is not None:
                return producer.constant
        return None


def parsed_network(model: Model) -> Network:
    """Parse a float model as TensorRT 8.5 does."""
    parser = _Parser(model)
    for node in model.ir.graph:
        parser.parse(node)
    graph = model.ir.graph
    inputs = tuple(name_of(value) for value in graph.inputs if value.dtype == ir.DataType.FLOAT)
    outputs = frozenset(name_of(value) for value in graph.outputs)
    return Network(tuple(_alive(parser.layers, outputs)), inputs, outputs)


def _alive(layers: Sequence[Layer], outputs: frozenset[str]) -> list[Layer]:
    wanted, kept = set(outputs), list[Layer]()
    for layer in reversed(layers):
        if wanted.intersection(layer.outputs):
            kept.append(layer)
            wanted.update(layer.inputs)
    return kept[::-1]


class _Parser:
    """Appends a node's layers, in the order in which TensorRT's parser does."""

    def __init__(self, model: Model) -> None:
        self.layers: list[Layer] = []
        self._opset = opset_of(model)
        self._outputs = {name_of(value) for value in model.ir.graph.outputs}
        self._names: dict[str, str] = {}  # TensorRT's name, where it is not the model's
        self._ranks: dict[str, int | None] = {}

    def parse(self, node: ir.Node) -> None:
        """Add the layers of one node; a Constant is added by the first layer that reads it."""
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.shape is not None:
                self._ranks[name_of(value)] = len(value.shape)
        if not is_standard(node, "Constant"):
            _PARSERS.get(node.op_type, _Parser.plain)(self, node)

    def elementwise(self, node: ir.Node) -> None:
        operands = self._broadcast([self._tensor(value) for value in _present(node)])
        result, *rest = operands
        for index, operand in enumerate(rest, start=1):
            named = node if index == len(rest) else None
            result = self._add("ElementWise", node.op_type, [result, operand], named, node=node)

    def split(self, node: ir.Node) -> None:
        for output in node.outputs:
            self._append("Slice", node.op_type, self._data(node), (name_of(output),), output, node=node)

    def gather(self, node: ir.Node) -> None:
        self._add("Gather", node.op_type, [self._tensor(value) for value in _present(node)], node)

    def softmax(self, node: ir.Node) -> None:
        """It works on a matrix before opset 13; from 13 on an idle Shuffle follows, which vanishes."""
        (data,), output = self._data(node), name_of(node.outputs[0])
        if self._opset < 13:
            matrix = self._add("Shuffle", RESHAPE, [data], same_values_as=data)
            inner = self._add("Softmax", node.op_type, [matrix], same_values_as=output)
            self._add("Shuffle", RESHAPE, [inner], node)
        elif output in self._outputs:
            self._add("Softmax", node.op_type, [data], node)
            self._skip(1)
        else:
            self._names[output] = self._add("Softmax", node.op_type, [data], same_values_as=output)
            self._ranks[self._names[output]] = self._ranks.get(output)
            self._skip(1)

    def hard_swish(self, node: ir.Node) -> None:
        (data,) = self._data(node)
        gate = self._add("Activation", "HardSigmoid", [data], node=node)
        self._add("ElementWise", "Mul", [data, gate], node)

    def gemm(self, node: ir.Node) -> None:
        matrix, weight, *bias = (value for value in _present(node))
        operands = [self._named(matrix), self._tensor(weight)]
        if not bias:
            self._add("Matrix Multiply", "MatMul", operands, node)
            return
        product = self._add("Matrix Multiply", "MatMul", operands, rank=2, node=node)
        self._add("ElementWise", GEMM_BIAS, self._broadcast([product, self._tensor(bias[0])]), node)

    def matmul(self, node: ir.Node) -> None:
        operands = self._broadcast([self._tensor(value) for value in _present(node)])
        self._add("Matrix Multiply", node.op_type, operands, node)

    def depth_to_space(self, node: ir.Node) -> None:
        data = self._data(node)
        turned = self._add("Shuffle", TURNED_RESHAPE, data, same_values_as=data[0])
        self._add("Shuffle", RESHAPE, [turned], node)

    def pad(self, node: ir.Node) -> None:
        self._skip(4)  # the constants of start, size, stride and fill
        self._add("Slice", node.op_type, self._data(node), node)

    def reshape(self, node: ir.Node) -> None:
        self._add("Shuffle", RESHAPE, self._data(node), node)

    def transpose(self, node: ir.Node) -> None:
        self._add("Shuffle", TRANSPOSE, self._data(node), node)

    def concat(self, node: ir.Node) -> None:
        self._add("Concat", node.op_type, [self._tensor(value) for value in _present(node)], node)

    def plain(self, node: ir.Node) -> None:
        """One layer that reads what is computed; its weights and settings are its own."""
        computed = [self._named(value) for value in _present(node) if own_constant(value) is None]
        outputs = tuple(name_of(value) for value in node.outputs)
        if outputs:
            self._append(node.op_type, node.op_type, computed, outputs, node.outputs[0], node=node)

    def _add(
        self, kind: str, op: str, inputs: Sequence[str], names: ir.Node | None = None, **more: Any
    ) -> str:
        """Add a layer whose output has the name of a node's, or none of its own; returns the name."""
        if names is None:
            output = f"(Unnamed Layer* {len(self.layers)}) [{kind}]_output"
            self._append(kind, op, inputs, (output,), None, **more)
            return output
        value = names.outputs[0]
        self._append(kind, op, inputs, (name_of(value),), value, **{"node": names, **more})
        return name_of(value)

    def _append(
        self,
        kind: str,
        op: str,
        inputs: Sequence[str],
        outputs: tuple[str, ...],
        value: ir.Value | None,
        **more: Any,
    ) -> None:
        more.setdefault("rank", self._ranks.get(outputs[0]))
        if value is not None:
            more["is_float"] = value.dtype in (ir.DataType.FLOAT, None)
        self._ranks[outputs[0]] = more["rank"]
        self.layers.append(Layer(kind, op, tuple(inputs), outputs, **more))

    def _skip(self, count: int) -> None:
        """Count layers that leave no tensor behind."""
        self.layers += [Layer("", "", (), ())] * count

    def _data(self, node: ir.Node) -> list[str]:
        return [self._named(value) for value in _present(node)[:1]]

    def _named(self, value: ir.Value) -> str:
        return self._names.get(name_of(value), name_of(value))

    def _tensor(self, value: ir.Value) -> str:
        """An operand's name; a constant becomes a layer where it is first one, and is shared from then on."""
        tensor = own_constant(value)
        if tensor is not None and name_of(value) not in self._names:
            array = tensor.numpy()
            self._names[name_of(value)] = self._add(
                "Constant",
                "Constant",
                [],
                rank=array.ndim,
                constant=array,
                is_float=array.dtype == np.float32,
            )
        return self._named(value)

    def _broadcast(self, operands: Sequence[str]) -> list[str]:
        """Shuffle operands of fewer dimensions than the others into as many."""
        ranks = [self._ranks.get(operand) for operand in operands]
        highest = max((rank for rank in ranks if rank is not None), default=0)
        return [
            self._add("Shuffle", BROADCAST, [operand], rank=highest, same_values_as=operand,
                      is_float=self._is_float(operand))
            if rank is not None and rank < highest
            else operand
            for operand, rank in zip(operands, ranks, strict=True)
        ]  # fmt: skip

    def _is_float(self, tensor: str) -> bool:
        return all(layer.is_float for layer in self.layers if tensor in layer.outputs)


def _present(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None and value.name]


_PARSERS: dict[str, Callable[[_Parser, ir.Node], None]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "PRelu"), _Parser.elementwise),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _Parser.reshape),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _Parser.depth_to_space),
    "Concat": _Parser.concat,
    "Gather": _Parser.gather,
    "Gemm": _Parser.gemm,
    "HardSwish": _Parser.hard_swish,
    "MatMul": _Parser.matmul,
    "Pad": _Parser.pad,
    "Softmax": _Parser.softmax,
    "Split": _Parser.split,
    "Transpose": _Parser.transpose,
}
