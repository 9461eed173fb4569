"""What the graph says of a quantized tensor: where it comes from, and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from calibrant.graph.model import Model
from calibrant.graph.walk import constant_tensor, is_compute, is_standard, name_of, walk_back
from calibrant.stages.diagnosis.weight_errors import kind_of

_GATES = ("Sigmoid", "HardSigmoid")


@dataclass(frozen=True)
class TensorFacts:
    """One activation in its graph.

    is_input: the model's input. is_gated: the output of SiLU or Hardswish, whose negatives are small. parts:
    name and channels of what a Concat joined into it along the channels, in order. depthwise_readers: nodes
    that read it and work channel by channel. head_readers: nodes that read it and are the last convolutions
    or matrix products before an output (dfl_readers: those that only decode a box's distribution).
    """

    is_input: bool = False
    is_gated: bool = False
    parts: tuple[tuple[str, int], ...] = ()
    depthwise_readers: tuple[str, ...] = ()
    head_readers: tuple[str, ...] = ()
    dfl_readers: tuple[str, ...] = ()


def facts_of(model: Model, tensors: Sequence[str]) -> dict[str, TensorFacts]:
    """The facts of each tensor that the graph has."""
    graph = model.ir.graph
    values = {name_of(value): value for value in graph.inputs}
    values |= {name_of(value): value for node in graph for value in node.outputs}
    head = {
        name_of(node)
        for output in graph.outputs
        for node in walk_back(output, is_compute)
        if is_compute(node)
    }
    return {tensor: _facts(values[tensor], head) for tensor in tensors if tensor in values}


def is_gated(node: ir.Node | None) -> bool:
    """Whether a node is the last of SiLU (x times its Sigmoid) or Hardswish."""
    if node is None:
        return False
    if is_standard(node, "HardSwish", "Swish"):
        return True
    if not is_standard(node, "Mul"):
        return False
    one, two = node.inputs
    return any(_gate_of(gate) is value for gate, value in ((one, two), (two, one)) if value is not None)


def _gate_of(value: ir.Value | None) -> ir.Value | None:
    """What a value is the sigmoid of."""
    producer = value.producer() if value is not None else None
    return producer.inputs[0] if producer is not None and is_standard(producer, *_GATES) else None


def _facts(value: ir.Value, head: set[str]) -> TensorFacts:
    readers = [use.node for use in value.uses() if use.idx == 0]
    return TensorFacts(
        is_input=value.is_graph_input(),
        is_gated=is_gated(value.producer()),
        parts=_parts(value),
        depthwise_readers=tuple(
            name_of(node) for node in readers if is_standard(node, "Conv") and kind_of(node) == "depthwise"
        ),
        head_readers=tuple(name_of(node) for node in readers if name_of(node) in head),
        dfl_readers=tuple(name_of(node) for node in readers if is_standard(node, "Conv") and _is_dfl(node)),
    )


def _parts(value: ir.Value) -> tuple[tuple[str, int], ...]:
    producer = value.producer()
    while producer is not None and is_standard(producer, "Identity", "Dropout"):
        source = producer.inputs[0]
        producer = source.producer() if source is not None else None
    if producer is None or not is_standard(producer, "Concat") or producer.attributes.get_int("axis", 1) != 1:
        return ()
    found = [(name_of(part), _channels(part)) for part in producer.inputs if part is not None]
    return tuple((name, count) for name, count in found if count) if all(c for _, c in found) else ()


def _channels(value: ir.Value) -> int:
    shape = value.shape
    if shape is None or len(shape) < 2 or not isinstance(shape[1], int):
        return 0
    return int(shape[1])


def _is_dfl(node: ir.Node) -> bool:
    """A projection with the constant weights 0, 1, 2, ...: the expectation of a distribution of distances."""
    tensor = constant_tensor(node.inputs[1])
    if tensor is None or not 1 < tensor.size <= 256:
        return False
    return bool(tensor.numpy().ravel().tolist() == list(range(tensor.size)))
