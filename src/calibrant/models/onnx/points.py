"""Where a scheme quantizes a model: activations, weights, and what stays in float."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from calibrant.core.errors import AlreadyQuantizedError, ModelError, SettingsError
from calibrant.core.types import Scheme
from calibrant.models.onnx.implicit import ImplicitNetwork, LayerPrecision
from calibrant.models.onnx.joined import (
    comes_from_float,
    data_inputs,
    encoding_sources,
    given_outputs,
    joined_nodes,
    left_float,
)
from calibrant.models.onnx.kept_float import reasons_for_float
from calibrant.models.onnx.model import Model, raised
from calibrant.models.onnx.walk import constant_tensor, is_compute, is_plugin, is_standard, name_of, walk_back

_QUANTIZED_OPS = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
    "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
})  # fmt: skip
_WEIGHT_INPUT = 1


@dataclass(frozen=True)
class ActivationPoint:
    """An activation tensor that is quantized, and the (node name, input index) that read it so.

    ``tied_to`` is the tensor whose encoding the target demands for it; None: it has its own.
    ``is_output``: the graph's output of this name is given the rounded values, too. ``is_guarded``: a
    weighted operator that stays float gives it, and the runtime must not take the pair as leave to
    quantize that.
    """

    tensor: str
    consumers: tuple[tuple[str, int], ...]
    tied_to: str | None = None
    is_output: bool = False
    is_guarded: bool = False

    @property
    def encoded_as(self) -> str:
        """The tensor whose encoding this one takes."""
        return self.tied_to or self.tensor


@dataclass(frozen=True)
class WeightPoint:
    """A constant weight that is quantized: ``tensor`` feeds ``node`` at ``input_index``.

    axis: the output channels in the tensor as the node reads it, counted from 0. Several points share a
    tensor when several nodes do.
    """

    tensor: str
    node: str
    input_index: int
    axis: int


@dataclass(frozen=True)
class QuantPoints:
    """What is quantized, in topological order.

    kept_float: names of nodes that the scheme would quantize but that could not or should not be.
    why_float: for those, and for all others with weights that the scheme does not know, the reason.
    """

    activations: tuple[ActivationPoint, ...]
    weights: tuple[WeightPoint, ...]
    kept_float: tuple[str, ...]
    why_float: Mapping[str, str] = field(default_factory=dict, compare=False)

    def without(self, tensors: Collection[str], why: str) -> QuantPoints:
        """The same with these activations in float, and what reads them with a weight. why: the reason."""
        dropped = [point for point in self.activations if point.encoded_as in tensors]
        readers = {node for point in dropped for node, _ in point.consumers}
        floats = dict.fromkeys(point.node for point in self.weights if point.node in readers)
        return replace(
            self,
            activations=tuple(point for point in self.activations if point not in dropped),
            weights=tuple(point for point in self.weights if point.node not in floats),
            kept_float=(*self.kept_float, *floats),
            why_float={**self.why_float, **dict.fromkeys(floats, why)},
        )


def quant_points(
    model: Model, scheme: Scheme, exclude: Sequence[str] = (), keep_head_float: bool = False
) -> QuantPoints:
    """Choose the points of ``scheme`` in a float model, as it is in the opset that the scheme needs.

    Quantized are the nodes whose weight is a float32 constant (an initializer or a Constant node, also
    behind Identity or Transpose) and whose activation is computed. Nodes inside If, Loop and Scan stay
    float. Where the scheme has joined operators, those between two quantized nodes are quantized too.
    ``exclude`` takes node names and glob patterns; ``keep_head_float`` spares the last convolutions
    before the outputs.
    Raises AlreadyQuantizedError, SettingsError for a pattern that matches no node, and ModelError where
    the opset cannot be raised to the scheme's.
    """
    require_float(model)
    model = raised(model, scheme.min_opset)
    nodes = list(ir.traversal.RecursiveGraphIterator(model.ir.graph))
    excluded = _matching(exclude, [name_of(node) for node in nodes])
    if keep_head_float:
        excluded |= _head(model.ir.graph)
    candidates = [node for node in nodes if is_standard(node, *scheme.weight_axis)]
    chosen = [
        (node, axis)
        for node in candidates
        if name_of(node) not in excluded
        and node.graph is model.ir.graph
        and (axis := _channel_axis(node, scheme)) is not None
    ]
    quantized = {name_of(node) for node, _ in chosen}
    return QuantPoints(
        tuple(_points_of([node for node, _ in chosen], model.ir.graph, excluded, scheme)),
        tuple(_weight_point(node, axis) for node, axis in chosen),
        tuple(name_of(node) for node in candidates if name_of(node) not in quantized),
        reasons_for_float(
            [node for node in nodes if name_of(node) not in quantized], model.ir.graph, scheme, excluded
        ),
    )


def precision_map(model: Model, scheme: Scheme, plan: QuantPoints) -> tuple[LayerPrecision, ...]:
    """What TensorRT runs in INT8 and in float by itself, layer by layer; empty for other targets."""
    if not scheme.rounds_fused_layers:
        return ()
    graph, names = model.ir.graph, {point.node for point in plan.weights}
    weighted = [node for node in graph if name_of(node) in names]
    return tuple(ImplicitNetwork(graph, weighted, set(plan.kept_float), scheme).layers())


def activation_tensors(model: Model) -> tuple[str, ...]:
    """All float32 tensors that a run takes as input or computes, in topological order; constants are not.

    Tensors inside If, Loop and Scan cannot be observed and are left out.
    """
    graph = model.ir.graph
    computed = (value for node in graph if not is_standard(node, "Constant") for value in node.outputs)
    values = (*graph.inputs, *computed)
    return tuple(value.name for value in values if value.name and value.dtype == ir.DataType.FLOAT)


def pooling_ties(model: Model) -> dict[str, str]:
    """For the output of every MaxPool and AveragePool its input: TensorRT gives both one scale."""
    return {
        name_of(node.outputs[0]): node.inputs[0].name
        for node in model.ir.graph
        if is_standard(node, "MaxPool", "AveragePool") and node.inputs[0] is not None and node.inputs[0].name
    }


def upper_bounds(model: Model) -> dict[str, float]:
    """The limit that the output of every Sigmoid approaches, 1, and with rounding reaches."""
    return {name_of(node.outputs[0]): 1.0 for node in model.ir.graph if is_standard(node, "Sigmoid")}


def has_qdq(model: Model) -> bool:
    """Whether a model is quantized already."""
    return any(True for _ in _quantized_nodes(model))


def require_float(model: Model) -> None:
    """Raise AlreadyQuantizedError for a model that holds quantized operators."""
    found = [name_of(node) for node in _quantized_nodes(model)]
    if found:
        raise AlreadyQuantizedError(
            f"{model.path.name} is quantized already: {len(found)} quantized nodes, e.g. {found[0]!r}; "
            "give the float model it was made from"
        )


def require_no_plugins(model: Model) -> None:
    """Raise ModelError for a model that only TensorRT can run: nothing of it can be observed elsewhere."""
    found = plugins_of(model)
    if found:
        raise ModelError(
            f"{model.path.name} has {found[0]!r}, a plugin that only TensorRT runs; export the model without "
            "it, e.g. with end2end=False"
        )


def plugins_of(model: Model) -> list[str]:
    """The operators of a model that are plugins of TensorRT's."""
    nodes = ir.traversal.RecursiveGraphIterator(model.ir.graph)
    return [node.op_type for node in nodes if is_plugin(node)]


def _quantized_nodes(model: Model) -> Iterator[ir.Node]:
    nodes = ir.traversal.RecursiveGraphIterator(model.ir.graph)
    return (node for node in nodes if node.op_type in _QUANTIZED_OPS)


def _matching(patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    return {name for pattern in patterns for name in _matching_one(pattern, names)}


def _matching_one(pattern: str, names: Sequence[str]) -> list[str]:
    found = [name for name in names if name == pattern] or [
        name for name in names if fnmatchcase(name, pattern)
    ]
    if not found:
        close = difflib.get_close_matches(pattern, names, n=3, cutoff=0.0)
        raise SettingsError(f"no node matches {pattern!r}; close: {', '.join(map(repr, close))}")
    return found


def _head(graph: ir.Graph) -> set[str]:
    """The convolutions and matrix products from which an output is reached without passing another.

    A DFL projection (constant weights 0, 1, 2, ...) only decodes: it is excluded, and so is what feeds it.
    """

    def stops(node: ir.Node) -> bool:
        return is_compute(node) and not _is_projection(node)

    return {
        name_of(node) for output in graph.outputs for node in walk_back(output, stops) if is_compute(node)
    }


def _is_projection(node: ir.Node) -> bool:
    tensor = constant_tensor(node.inputs[_WEIGHT_INPUT])
    if tensor is None or tensor.size > 256:
        return False
    return tensor.size > 1 and tensor.numpy().ravel().tolist() == list(range(tensor.size))


def _channel_axis(node: ir.Node, scheme: Scheme) -> int | None:
    """The output-channel axis of a node's weight, or None where the node cannot be quantized."""
    activation, weight = node.inputs[0], constant_tensor(node.inputs[_WEIGHT_INPUT])
    if activation is None or constant_tensor(activation) is not None:
        return None
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return None
    rank = len(weight.shape)
    if rank < 2:  # a MatMul with a vector has no output channels
        return None
    axis = scheme.weight_axis[node.op_type] % rank
    is_stored_by_input = node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)
    return 1 - axis if is_stored_by_input else axis


def _points_of(
    weighted: Sequence[ir.Node], graph: ir.Graph, excluded: set[str], scheme: Scheme
) -> Iterator[ActivationPoint]:
    if scheme.rounds_fused_layers:
        yield from _implicit_points(weighted, graph, excluded, scheme)
        return
    chain = set(weighted) | set(_joined(weighted, graph, excluded, scheme))
    nodes = [node for node in graph if node in chain]
    sources = encoding_sources(nodes, scheme)
    floats = left_float(graph, weighted, scheme) if scheme.quantizes_outputs else set()
    for value in _quantized_values(nodes, scheme):
        name = name_of(value)
        readers = (
            (name_of(use.node), use.idx)
            for use in value.uses()
            if use.node.graph is graph
            and (scheme.quantizes_outputs or _reads(use.node, use.idx, chain, scheme))
        )
        is_output = scheme.quantizes_outputs and value.is_graph_output()
        is_guarded = comes_from_float(value, floats, scheme)
        yield ActivationPoint(name, tuple(readers), sources.get(name), is_output, is_guarded)


def _implicit_points(
    weighted: Sequence[ir.Node], graph: ir.Graph, excluded: set[str], scheme: Scheme
) -> Iterator[ActivationPoint]:
    for rounding in ImplicitNetwork(graph, weighted, excluded, scheme).roundings():
        readers = tuple((name_of(node), index) for node, index in rounding.readers)
        tied_to = name_of(rounding.tied_to) if rounding.tied_to is not None else None
        yield ActivationPoint(name_of(rounding.value), readers, tied_to)


def _joined(
    weighted: Sequence[ir.Node], graph: ir.Graph, excluded: set[str], scheme: Scheme
) -> list[ir.Node]:
    """A DFL projection only decodes: what leads to it, and to nothing else, stays float."""
    return joined_nodes(graph, [node for node in weighted if not _is_projection(node)], excluded, scheme)


def _quantized_values(nodes: Sequence[ir.Node], scheme: Scheme) -> dict[ir.Value, None]:
    found: dict[ir.Value, None] = {}
    for node in nodes:
        found |= dict.fromkeys(value for value in data_inputs(node, scheme) if value is not None)
        if scheme.quantizes_outputs:
            found |= dict.fromkeys(given_outputs(node, scheme))
    return found


def _reads(node: ir.Node, index: int, chain: set[ir.Node], scheme: Scheme) -> bool:
    """Whether a node belongs to the chain and reads its input ``index`` as data."""
    return node in chain and index < len(data_inputs(node, scheme))


def _weight_point(node: ir.Node, axis: int) -> WeightPoint:
    weight = node.inputs[_WEIGHT_INPUT]
    assert weight is not None
    return WeightPoint(name_of(weight), name_of(node), _WEIGHT_INPUT, axis)
