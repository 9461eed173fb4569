"""Points of a target that computes on integers from one weighted operator to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import onnx_ir as ir

from calibrant.core.types import Scheme
from calibrant.models.onnx.walk import constant_tensor, is_standard, name_of


def joined_nodes(
    graph: ir.Graph, weighted: Collection[ir.Node], excluded: Collection[str], scheme: Scheme
) -> list[ir.Node]:
    """The operators between ``weighted`` ones that the scheme computes on integers, in topological order.

    What no weighted operator follows, a detector's decoding, stays float: boxes and scores would share a
    scale there. So does what reads a constant besides its data, and what reads only what weighted
    operators left in float give.
    """
    following = set(weighted)
    joined = []
    for node in reversed(graph):
        if node in following or not any(reader in following for reader in _readers(node)):
            continue
        following.add(node)
        if is_standard(node, *scheme.joined_ops) and name_of(node) not in excluded:
            values = data_inputs(node, scheme)
            if values and all(is_activation(value) for value in values):
                joined.append(node)
    return _without_floats(joined[::-1], graph, weighted, scheme)


def comes_from_float(value: ir.Value | None, floats: Collection[ir.Node], scheme: Scheme) -> bool:
    """Whether one of ``floats`` gives a value, directly or through an activation function."""
    producer = value.producer() if value is not None else None
    while producer is not None and producer not in floats and is_standard(producer, *scheme.absorbed_ops):
        source = producer.inputs[0]
        producer = source.producer() if source is not None else None
    return producer in floats


def left_float(graph: ir.Graph, weighted: Collection[ir.Node], scheme: Scheme) -> set[ir.Node]:
    """The weighted operators that are not quantized."""
    return {node for node in graph if is_standard(node, *scheme.weight_axis) and node not in weighted}


def data_inputs(node: ir.Node, scheme: Scheme) -> Sequence[ir.Value | None]:
    """The inputs of a node that hold values rather than weights, shapes, indices or sizes."""
    holds_values_first = is_standard(node, *scheme.weight_axis, *scheme.moving_ops)
    return node.inputs[:1] if holds_values_first else node.inputs


def given_outputs(node: ir.Node, scheme: Scheme) -> Iterator[ir.Value]:
    """The tensors behind which a node's results are rounded: its outputs, or its activation function's."""
    for value in node.outputs:
        readers = [use.node for use in value.uses()]
        absorbs = len(readers) == 1 and is_standard(readers[0], *scheme.absorbed_ops)
        if absorbs and not value.is_graph_output() and not is_standard(node, *scheme.moving_ops):
            yield readers[0].outputs[0]
        elif is_activation(value):
            yield value


def encoding_sources(nodes: Iterable[ir.Node], scheme: Scheme) -> dict[str, str]:
    """For each output of a moving node, in topological order, the tensor whose values it ultimately holds."""
    sources: dict[str, str] = {}
    for node in nodes:
        if is_standard(node, *scheme.moving_ops) and node.inputs[0] is not None:
            origin = name_of(node.inputs[0])
            sources |= {name_of(value): sources.get(origin, origin) for value in node.outputs}
    return sources


def is_activation(value: ir.Value | None) -> bool:
    """Whether a value is a float32 tensor that is computed, or given to the model."""
    return value is not None and value.dtype == ir.DataType.FLOAT and constant_tensor(value) is None


def _without_floats(
    joined: Sequence[ir.Node], graph: ir.Graph, weighted: Collection[ir.Node], scheme: Scheme
) -> list[ir.Node]:
    floats, kept = left_float(graph, weighted, scheme), []
    for node in joined:
        if all(comes_from_float(value, floats, scheme) for value in data_inputs(node, scheme)):
            floats.add(node)
        else:
            kept.append(node)
    return kept


def _readers(node: ir.Node) -> Iterator[ir.Node]:
    return (use.node for value in node.outputs for use in value.uses())
