"""Where TensorRT rounds when it quantizes by itself, from a calibration cache (implicit INT8, up to 10).

It fuses first and rounds then: a tensor inside a fused layer keeps its float values, one between two layers
that run in INT8 is rounded in its own scale. Layers run in INT8 where that is the quicker, which for small
ones it may not be. Read off engines of 8.5.1.7: docs/results-tensorrt.md, and tests/golden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from calibrant.core.types import Scheme
from calibrant.models.onnx.joined import is_activation
from calibrant.models.onnx.walk import constant_tensor, is_standard, name_of

INT8, FLOAT = "INT8", "FP32"
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_RECTIFIERS = frozenset({"Relu", "Clip"})
_UNARY = frozenset({
    "Abs", "Ceil", "Clip", "Elu", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg",
    "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh",
})  # fmt: skip
_BINARY = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})
_POINTWISE = _UNARY | _BINARY | {"PRelu"}
# Views: the next layer reads the integers where they lie. Pooling and nearest neighbours choose among them.
# A Pad before a convolution is the convolution's own padding.
_VIEWS = frozenset({"Identity", "Pad", "Slice", "Split"})


_IMAGE_CHANNELS = 4
_TAKES_NOTHING_IN = (16, 16, 1, 1)


@dataclass(frozen=True)
class Rounding:
    """A tensor that is stored as INT8, and the (node, input index) that read it so.

    tied_to: the tensor in whose scale it is; None: its own.
    """

    value: ir.Value
    readers: tuple[tuple[ir.Node, int], ...]
    tied_to: ir.Value | None = None


@dataclass(frozen=True)
class LayerPrecision:
    """A layer of the engine: its nodes' names, what it computes in and what it writes, INT8 or FP32.

    reformatted: the tensors that are first turned into what it reads, each in a pass over memory.
    """

    nodes: tuple[str, ...]
    computes: str
    writes: str
    reformatted: tuple[str, ...]


class ImplicitNetwork:
    """A graph as TensorRT divides it into layers, INT8 wherever it can.

    weighted: the nodes with constant weights that are quantized. excluded: names of nodes left in float.
    """

    def __init__(
        self, graph: ir.Graph, weighted: Collection[ir.Node], excluded: Collection[str], scheme: Scheme
    ) -> None:
        self._graph, self._weighted, self._scheme = graph, frozenset(weighted), scheme
        self._excluded = frozenset(excluded)

    def roundings(self) -> Iterator[Rounding]:
        """The tensors that are stored as INT8, in topological order."""
        for value in (*self._graph.inputs, *(value for node in self._graph for value in node.outputs)):
            readers = self._integer_readers(value)
            if readers and is_activation(value) and self._is_rounded(value, readers):
                yield Rounding(value, tuple(readers), self._source(value))

    def layers(self) -> Iterator[LayerPrecision]:
        """The engine's layers, in topological order of their first nodes; views are none."""
        integers = {rounding.value for rounding in self.roundings()}
        for nodes in self._fused_nodes():
            if is_standard(nodes[0], *_VIEWS):
                continue
            computes = INT8 if nodes[0] in self._integer else FLOAT
            own = {value for node in nodes for value in node.outputs}
            read = dict.fromkeys(value for node in nodes for value in node.inputs if is_activation(value))
            reformatted = [
                name_of(value)
                for value in read
                if value is not None and value not in own and self._stored_as(value, integers) != computes
            ]
            writes = self._stored_as(nodes[-1].outputs[0], integers)
            yield LayerPrecision(tuple(map(name_of, nodes)), computes, writes, tuple(reformatted))

    def _stored_as(self, value: ir.Value, integers: Collection[ir.Value]) -> str:
        """What the layer that makes a tensor leaves in memory; a view is its source."""
        producer = value.producer()
        if producer is not None and producer in self._integer and is_standard(producer, *_VIEWS):
            source = producer.inputs[0]
            return self._stored_as(source, integers) if source is not None else FLOAT
        if producer not in self._integer:
            return FLOAT
        return INT8 if value in integers or self._joins(value) else FLOAT

    @cached_property
    def _integer(self) -> frozenset[ir.Node]:
        """The nodes that run in INT8: on the way from one weighted node to another."""
        leads = set(self._weighted)
        for node in reversed(self._graph):
            if self._is_joined(node) and any(reader in leads for reader in _readers(node)):
                leads.add(node)
        found = set[ir.Node]()
        for node in self._graph:
            if node in self._weighted or (node in leads and any(p in found for p in _producers(node))):
                found.add(node)
            elif is_standard(node, *_RECTIFIERS, "LeakyRelu") and self._ends_a_convolution(node):
                found.add(node)  # computed by the kernel, which then writes floats
        return frozenset(found)

    def _ends_a_convolution(self, node: ir.Node) -> bool:
        value = node.inputs[0]
        producer = value.producer() if value is not None else None
        return value is not None and producer in self._weighted and _only_reader(value) is node

    def _is_joined(self, node: ir.Node) -> bool:
        if is_standard(node, "Pad") and not self._is_absorbed(node):
            return False
        return is_standard(node, *self._scheme.joined_ops) and name_of(node) not in self._excluded

    def _is_absorbed(self, pad: ir.Node) -> bool:
        """Whether a Pad adds rows and columns of zeros that only quantized convolutions read."""
        sizes, *value = [constant_tensor(given) for given in pad.inputs[1:3] if given is not None]
        if sizes is None or pad.attributes.get_string("mode", "constant") != "constant":
            return False
        before, after = np.split(sizes.numpy(), 2)
        adds_zeros = not value or (value[0] is not None and not np.any(value[0].numpy()))
        readers = [use.node for use in pad.outputs[0].uses()]
        are_convolutions = all(
            is_standard(node, *_CONVOLUTIONS) and node in self._weighted for node in readers
        )
        in_the_plane = not np.any(before[:2]) and not np.any(after[:2])
        return bool(readers) and are_convolutions and adds_zeros and in_the_plane

    def _integer_readers(self, value: ir.Value) -> list[tuple[ir.Node, int]]:
        """Who reads a value as data; none where nobody reads it in INT8."""
        uses = [(use.node, use.idx) for use in value.uses() if use.node.graph is self._graph]
        data = [use for use in uses if use[1] == 0 or not is_standard(use[0], *self._weighted_ops)]
        return data if any(node in self._integer for node, _ in data) else []

    @cached_property
    def _weighted_ops(self) -> tuple[str, ...]:
        return tuple(self._scheme.weight_axis)

    def _is_rounded(self, value: ir.Value, readers: Sequence[tuple[ir.Node, int]]) -> bool:
        producer = value.producer()
        if all(is_standard(node, "Concat") and node in self._integer for node, _ in readers):
            return False  # it is written into the joined tensor at once, in that one's scale
        if producer is None or producer not in self._integer:
            return any(node in self._integer for node, _ in readers)
        return value not in self._fused

    def _joins(self, value: ir.Value) -> bool:
        readers = self._integer_readers(value)
        return bool(readers) and all(is_standard(node, "Concat") for node, _ in readers)

    def _source(self, value: ir.Value) -> ir.Value | None:
        """The tensor whose integers a view, or a choice among them, still holds."""
        origin: ir.Value | None = None
        producer = value.producer()
        while producer is not None and producer in self._integer and _keeps_integers(producer):
            origin = producer.inputs[0]
            producer = origin.producer() if origin is not None else None
        return origin

    @cached_property
    def _fused(self) -> frozenset[ir.Value]:
        """The tensors inside fused layers, each read by nothing else."""
        return frozenset(value for group in self._pointwise_groups for value in group.inside) | frozenset(
            value for node in self._integer for value in self._merged(node)
        )

    @cached_property
    def _pointwise_groups(self) -> tuple[_Pointwise, ...]:
        return tuple(_pointwise_groups(self._graph, self._integer, self._is_taken_in))

    def _is_taken_in(self, node: ir.Node) -> bool:
        """Whether a convolution computes a pointwise node before any other layer could."""
        if is_standard(node, *_RECTIFIERS):
            return self._ends_a_convolution(node)
        return _is_sum(node) and self._summing(node) is not None

    def _merged(self, node: ir.Node) -> Iterator[ir.Value]:
        """A convolution's results that it hands on within its own layer."""
        if not is_standard(node, *_CONVOLUTIONS) or node not in self._weighted:
            return
        value = node.outputs[0]
        while (follower := _only_reader(value)) is not None and self._takes_in(node, value, follower):
            yield value
            value = follower.outputs[0]
        groups = [group for group in self._pointwise_groups if group.external == {value}]
        readers = {use.node for use in value.uses()}
        if _weight_shape(node) == _TAKES_NOTHING_IN:
            return
        for group in groups:
            if readers <= set(group.nodes) and not value.is_graph_output() and _fuses(node, group):
                yield value

    def _takes_in(self, node: ir.Node, value: ir.Value, follower: ir.Node) -> bool:
        """Scaling by channel, the residual sum of which it is the first convolved addend, a rectifier."""
        if value.is_graph_output() or follower not in self._integer:
            return False
        if is_standard(follower, *_RECTIFIERS, "BatchNormalization"):
            return True
        if is_standard(follower, "Add", "Mul") and _constant_operand(follower) is not None:
            return _is_by_channel(follower)
        return _is_sum(follower) and self._summing(follower) is node

    def _summing(self, total: ir.Node) -> ir.Node | None:
        """The convolution that takes in a sum: of those whose results only the sum reads, the one with the
        most weights, and of equals the first addend's.
        """
        found: ir.Node | None = None
        for addend in total.inputs:
            producer = addend.producer() if addend is not None else None
            while producer is not None and is_standard(producer, "BatchNormalization"):
                producer = producer.inputs[0].producer() if producer.inputs[0] is not None else None
            is_own = addend is not None and _only_reader(addend) is total and not addend.is_graph_output()
            if is_own and producer in self._weighted and is_standard(producer, *_CONVOLUTIONS):
                larger = found is None or _weights(producer) > _weights(found)
                found = producer if larger else found
        return found

    def _fused_nodes(self) -> Iterator[tuple[ir.Node, ...]]:
        """The nodes of each layer."""
        leader: dict[ir.Node, ir.Node] = {}
        members: dict[ir.Node, list[ir.Node]] = {}
        for node in self._graph:
            if is_standard(node, "Constant"):
                continue
            inside = [value for value in node.inputs if value is not None and value in self._fused]
            producer = inside[0].producer() if inside else None
            first = leader.get(producer, node) if producer is not None else node
            leader[node] = first
            members.setdefault(first, []).append(node)
        yield from (tuple(nodes) for nodes in members.values())


@dataclass(frozen=True)
class _Pointwise:
    """Pointwise nodes that are one layer, the tensors that only they know, and those that they read."""

    nodes: tuple[ir.Node, ...]
    inside: frozenset[ir.Value]
    external: frozenset[ir.Value]


def _pointwise_groups(
    graph: ir.Graph, integer: Collection[ir.Node], is_taken_in: Callable[[ir.Node], bool]
) -> Iterator[_Pointwise]:
    """A node joins the layer of its readers where they are all in one, but for what convolutions take in."""
    group: dict[ir.Node, ir.Node] = {}
    for node in reversed(graph):
        if node not in integer or not is_standard(node, *_POINTWISE):
            continue
        readers = {use.node for use in node.outputs[0].uses()}
        heads = {group[reader] for reader in readers if reader in group}
        joins = len(heads) == 1 and all(reader in group for reader in readers)
        if joins and not node.outputs[0].is_graph_output() and not is_taken_in(node):
            group[node] = heads.pop()
        else:
            group[node] = node
    for head in dict.fromkeys(group[node] for node in graph if node in group):
        nodes = tuple(node for node in graph if group.get(node) is head)
        made = {node.outputs[0] for node in nodes}
        read = {value for node in nodes for value in node.inputs if is_activation(value)}
        yield _Pointwise(
            nodes,
            frozenset(made - {head.outputs[0]}),
            frozenset(value for value in read if value is not None) - made,
        )


def _fuses(convolution: ir.Node, group: _Pointwise) -> bool:
    """Whether a convolution's kernel computes the pointwise layer behind it.

    PRelu is never taken in, LeakyRelu by no depthwise kernel and by none that reads an image, and nothing by
    a 1x1 one of 16 to 16 channels: so on all five detectors, but nobody has seen the kernels' own reasons.
    """
    if any(is_standard(node, "PRelu") for node in group.nodes):
        return False
    if any(is_standard(node, "LeakyRelu") for node in group.nodes):
        return not is_depthwise(convolution) and _weight_shape(convolution)[1] > _IMAGE_CHANNELS
    return True


def is_depthwise(node: ir.Node) -> bool:
    """Whether a convolution works on each channel by itself."""
    return bool(node.attributes.get_int("group", 1) > 1 and _weight_shape(node)[1] == 1)


def _weight_shape(node: ir.Node) -> tuple[int, ...]:
    weight = constant_tensor(node.inputs[1])
    assert weight is not None
    return tuple(weight.shape.numpy())


def _weights(node: ir.Node) -> int:
    return math.prod(_weight_shape(node))


def _keeps_integers(node: ir.Node) -> bool:
    if is_standard(node, "Resize", "Upsample"):
        return str(node.attributes.get_string("mode", "nearest")) == "nearest"
    return is_standard(node, *_VIEWS, "MaxPool")


def _is_sum(node: ir.Node) -> bool:
    return is_standard(node, "Add") and _constant_operand(node) is None


def _constant_operand(node: ir.Node) -> ir.TensorProtocol | None:
    return next((tensor for value in node.inputs if (tensor := constant_tensor(value)) is not None), None)


def _is_by_channel(node: ir.Node) -> bool:
    constant = _constant_operand(node)
    assert constant is not None
    sizes = constant.shape.numpy()
    by_channel = len(sizes) >= 3 and constant.size == sizes[-3]  # ..., channel, row, column
    return constant.size == 1 or by_channel


def _only_reader(value: ir.Value) -> ir.Node | None:
    readers = [use.node for use in value.uses()]
    return readers[0] if len(readers) == 1 else None


def _readers(node: ir.Node) -> Iterator[ir.Node]:
    return (use.node for value in node.outputs for use in value.uses())


def _producers(node: ir.Node) -> Iterator[ir.Node | None]:
    return (value.producer() for value in node.inputs if value is not None)
