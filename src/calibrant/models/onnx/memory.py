"""How much memory a model's activations take while it runs, from their inferred shapes, for one image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from calibrant.models.onnx.cost import with_batch_of_one
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.walk import is_standard


@dataclass(frozen=True)
class Footprint:
    """Bytes. ``weights``: all initializers, and what Constant nodes hold (PaddlePaddle's exporter writes
    those). ``live``: most that has to be held at once, when each activation goes after its last reader.
    ``total``: all activations together, as when every one is looked at. Values of unknown shape count as
    nothing.
    """

    weights: int
    live: int
    total: int


def footprint(model: Model) -> Footprint:
    """What a float model needs for one image; an open batch dimension counts as 1."""
    graph = with_batch_of_one(model.ir).graph
    weights = sum(value.const_value.nbytes for value in graph.initializers.values() if value.const_value)
    weights += sum(_bytes(value) for node in graph if is_standard(node, "Constant") for value in node.outputs)
    sizes = {value: _bytes(value) for value in _activations(graph)}
    return Footprint(weights, _most_at_once(graph, sizes), sum(sizes.values()))


def _most_at_once(graph: ir.Graph, sizes: dict[ir.Value, int]) -> int:
    nodes = list(graph)
    position = {node: index for index, node in enumerate(nodes)}
    kept = set(graph.outputs)
    ends: dict[int, int] = {}
    held = most = sum(sizes.get(value, 0) for value in graph.inputs)
    for index, node in enumerate(nodes):
        for value in node.outputs:
            held += sizes.get(value, 0)
            # What only a subgraph reads counts as read at the end.
            last = max((position.get(use.node, len(nodes)) for use in value.uses()), default=index)
            if value not in kept:
                ends[last] = ends.get(last, 0) + sizes.get(value, 0)
        most = max(most, held)
        held -= ends.get(index, 0)
    return most


def _activations(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        if not is_standard(node, "Constant"):
            yield from node.outputs


def _bytes(value: ir.Value) -> int:
    if value.shape is None or value.dtype is None or not all(isinstance(dim, int) for dim in value.shape):
        return 0
    return math.ceil(math.prod(dim for dim in value.shape if isinstance(dim, int)) * value.dtype.itemsize)
