"""What the graph says of a quantized tensor: where it comes from, and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.movement import value_sources
from calibrant.models.onnx.transforms.equalize import equalizing_scales, expected_gain
from calibrant.models.onnx.walk import constant_tensor, is_compute, is_standard, name_of, walk_back

_GATES = ("Sigmoid", "HardSigmoid")


@dataclass(frozen=True)
class TensorFacts:
    """One activation in its graph.

    is_input: the model's input, or values of it that were only moved. is_gated: the output of SiLU or
    Hardswish, whose negatives are small. parts: name and channels of what a Concat joined into it along the
    channels, in order. depthwise_readers: nodes that read it and work channel by channel. head_readers: nodes
    that read it and are the last convolutions or matrix products before an output (dfl_readers: those that
    only decode a box's distribution).
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
    fed = _moved_inputs(model)
    return {tensor: _facts(values[tensor], head, tensor in fed) for tensor in tensors if tensor in values}


def equalizing_bits(model: Model, facts: TensorFacts, channel_amax: FloatArray) -> float:
    """Bits of resolution lost because the channels that depthwise convolutions read share one scale.

    The noise behind such a convolution is one step for all channels, times each channel's weights; with a
    scale for each channel it would follow the channel. Half the log2 of both powers' ratio, summed over
    channels; 0 where nothing depthwise reads the tensor. channel_amax: (C,), real units.
    """
    nodes = {name_of(node): node for node in model.ir.graph}
    weights = [constant_tensor(nodes[name].inputs[1]) for name in facts.depthwise_readers]
    energies = [
        np.square(weight.numpy()).reshape(channel_amax.size, -1).sum(axis=1)
        for weight in weights
        if weight is not None and weight.size % channel_amax.size == 0
    ]
    if not energies:
        return 0.0
    scales = equalizing_scales(channel_amax, np.ones_like(channel_amax), 1.0)
    return expected_gain(channel_amax, np.sum(energies, axis=0), scales)


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


def kind_of(node: ir.Node) -> str:
    """What a weighted node is: "depthwise" or "grouped" for such convolutions, else its operator."""
    groups = node.attributes.get_int("group", 1)
    if groups is None or groups == 1:
        return node.op_type
    weight = constant_tensor(node.inputs[1])
    is_depthwise = weight is not None and weight.shape.numpy()[1] == 1
    return "depthwise" if is_depthwise else "grouped"


def _gate_of(value: ir.Value | None) -> ir.Value | None:
    """What a value is the sigmoid of."""
    producer = value.producer() if value is not None else None
    return producer.inputs[0] if producer is not None and is_standard(producer, *_GATES) else None


def _moved_inputs(model: Model) -> set[str]:
    """The model's inputs, and tensors that hold nothing but their values."""
    found = {name_of(value) for value in model.ir.graph.inputs}
    for tensor, sources in value_sources(model).items():
        if found.issuperset(sources):
            found.add(tensor)
    return found


def _facts(value: ir.Value, head: set[str], is_input: bool) -> TensorFacts:
    readers = [use.node for use in value.uses() if use.idx == 0]
    return TensorFacts(
        is_input=is_input,
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
