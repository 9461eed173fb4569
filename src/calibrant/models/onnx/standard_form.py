"""Other ways to write the same graph, made one on reading: domain, order of nodes, open sizes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import onnx

_STANDARD = "ai.onnx"


def standardize(proto: onnx.ModelProto) -> bool:
    """Rename the domain ``ai.onnx`` to the empty string that means the same, and sort nodes that are not.

    Edits ``proto``. Returns whether anything was changed. A graph with a cycle keeps its order.
    """
    _open_negative_dimensions(proto.graph)
    changes = [_rename_domain(proto), *(_sort(graph) for graph in _graphs_of(proto))]
    return any(changes)


def _open_negative_dimensions(graph: onnx.GraphProto) -> None:
    """A size of -1, which Paddle writes, means that any will do; no runtime reads it in another way."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0:
                dim.ClearField("dim_value")


def _rename_domain(proto: onnx.ModelProto) -> bool:
    imports = [proto.opset_import, *(function.opset_import for function in proto.functions)]
    written = [opset for opsets in imports for opset in opsets if opset.domain == _STANDARD]
    for opset in written:
        opset.domain = ""
    _keep_newest(proto)
    nodes = [node for node in _nodes_of(proto) if node.domain == _STANDARD]
    for node in nodes:
        node.domain = ""
    return bool(written or nodes)


def _keep_newest(proto: onnx.ModelProto) -> None:
    """One version of the standard, where a file imports it under both names."""
    own = [opset for opset in proto.opset_import if opset.domain == ""]
    if len(own) > 1:
        own[0].version = max(opset.version for opset in own)
        for opset in own[1:]:
            proto.opset_import.remove(opset)


def _graphs_of(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield proto.graph
    for node in _nodes_of(proto):
        yield from _bodies_of(node)


def _nodes_of(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    waiting = deque([*(function.node for function in proto.functions), proto.graph.node])
    while waiting:
        for node in waiting.popleft():
            yield node
            waiting.extend(graph.node for graph in _bodies_of(node))


def _bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _sort(graph: onnx.GraphProto) -> bool:
    """Put each node behind those that it reads, and leave the order as it is where that is possible."""
    nodes = list(graph.node)
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    sources = [{maker[name] for name in _read_by(node) if name in maker} for node in nodes]
    if all(source < index for index, found in enumerate(sources) for source in found):
        return False
    order = _depth_first(sources)
    if order is None:
        return False
    ordered = [onnx.NodeProto.FromString(nodes[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(ordered)
    return True


def _depth_first(sources: list[set[int]]) -> list[int] | None:
    """Indices so that each follows its sources; None where there is a cycle."""
    done: dict[int, bool] = {}  # False: begun
    order = []
    for start in range(len(sources)):
        stack = [start]
        while stack:
            index = stack[-1]
            missing = [source for source in sorted(sources[index]) if not done.get(source)]
            if done.get(index):
                stack.pop()
            elif not missing:
                done[stack.pop()] = True
                order.append(index)
            elif index in done:  # begun, and what it waits for waits for it
                return None
            else:
                done[index] = False
                stack.extend(reversed(missing))
    return order


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and what the bodies within it read from outside."""
    waiting = deque([node])
    while waiting:
        current = waiting.popleft()
        yield from current.input
        for graph in _bodies_of(current):
            yield from (output.name for output in graph.output)
            waiting.extend(graph.node)
