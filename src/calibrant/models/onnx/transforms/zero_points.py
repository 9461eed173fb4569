"""Zero points by channel: a shift before rounding, which the biases behind it undo.

A range that is one for all channels, and symmetric on some targets, gives many of its steps to values that a
channel never takes: SiLU, ReLU and images give next to nothing below zero. Adding a constant to each channel
moves what it does take into the middle of the range. Whole steps keep zeros exact, which most values are
near. The zeros that a convolution pads with must move, too: a Pad of its own before the shift adds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from calibrant.core.quantize import on_axis
from calibrant.core.types import Encoding, FloatArray, QuantSpec
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.onnx_passes import with_opset
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.transforms.transformed import Change, Transformed
from calibrant.models.onnx.transforms.weights import (
    DATA,
    ConstantEditor,
    as_stored,
    bias_of,
    constant_response,
    input_channels,
    is_mendable,
    require_channels,
    says_its_pads,
    weight_of,
)
from calibrant.models.onnx.walk import UniqueNames, name_of, value_names

# From this opset on, Pad takes what it pads with as inputs.
PAD_OPSET = 11
# A shift that makes the range less than so much narrower is not worth an Add.
LEAST_GAIN = 0.85


@dataclass(frozen=True)
class Shift:
    """One Add: ``tensor`` is what it gives to ``readers``, ``constant`` what it adds to ``source``."""

    tensor: str
    source: str
    constant: str
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Centred:
    """A model whose channels were shifted, and the shifts, which ``settled`` makes whole steps."""

    transformed: Transformed
    shifts: tuple[Shift, ...]


def half_widths(low: FloatArray, high: FloatArray) -> FloatArray:
    """Half of what each channel spans with zero, (C,): its size once it is centred."""
    result: FloatArray = ((np.maximum(high, 0) - np.minimum(low, 0)) / 2).astype(np.float32)
    return result


def centred(
    model: Model,
    plan: QuantPoints,
    ranges: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    pads: bool,
) -> Centred:
    """Move each channel of what the plan's convolutions read into the middle of what it takes.

    ranges: for each such activation the smallest and the largest value of every channel, (C,), from
    calibration; those without are left alone, and those whose range becomes little narrower. pads: also
    before convolutions that pad, at the cost of a Pad. The result computes the same as ``model``, up to
    rounding. New tensors are called ``<tensor>_padded`` and ``_shifted``. Changes are "shifted". Raises
    SettingsError where ``ranges`` do not fit a tensor's channels.
    """
    result = with_opset(model.ir, PAD_OPSET)
    editor = _Editor(result)
    shifts: list[Shift] = []
    changes = []
    by_name = {name_of(node): node for node in result.graph}
    for tensor, nodes in shiftable(replace(model, ir=result), plan, pads=pads).items():
        if tensor not in ranges:
            continue
        low, high = (np.asarray(found, np.float32) for found in ranges[tensor])
        gain = _gain(low, high)
        if gain > LEAST_GAIN:
            continue
        readers = [by_name[name] for name in nodes]
        centres = ((np.maximum(high, 0) + np.minimum(low, 0)) / 2).astype(np.float32)
        shifts += editor.shift(tensor, readers, -centres)
        changes.append(Change("shifted", tensor, nodes, f"its range is {gain:.2f} of what it was"))
    return Centred(Transformed(replace(model, ir=result), tuple(changes)), tuple(shifts))


def shiftable(model: Model, plan: QuantPoints, *, pads: bool) -> dict[str, tuple[str, ...]]:
    """Activations with the convolutions that can undo a shift of them; tied tensors are left alone."""
    weighted = {point.node for point in plan.weights}
    tied = {name for point in plan.activations if point.tied_to for name in (point.tensor, point.tied_to)}
    found: dict[str, list[str]] = {}
    for node in model.ir.graph:
        if name_of(node) in weighted and is_mendable(node) and says_its_pads(node):
            source = node.inputs[DATA]
            assert source is not None
            if name_of(source) not in tied and (pads or not any(_pads_of(node))):
                found.setdefault(name_of(source), []).append(name_of(node))
    return {tensor: tuple(nodes) for tensor, nodes in found.items()}


def shifted_means(
    model: Model, shifts: Sequence[Shift], means: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """The mean of each channel of what shifts give, (C,), from that of what they shift; 0 where unknown."""
    values = ir.convenience.create_value_mapping(model.ir.graph, include_subgraphs=False)
    constants = {shift.tensor: _array_of(values[shift.constant]).reshape(-1) for shift in shifts}
    return {
        shift.tensor: constants[shift.tensor] + means.get(shift.source, np.float32(0)) for shift in shifts
    }


def settled(
    model: Model,
    plan: QuantPoints,
    weights: QuantSpec,
    shifts: Sequence[Shift],
    encodings: Mapping[str, Encoding],
) -> Model:
    """The same model with shifts of whole steps.

    encodings: of the activations, by name; a shift of what is not quantized stays as it is. What ``plan``
    stores as integers is taken to be right for its stored weights, as bias correction leaves it.
    """
    result = model.ir.clone()
    editor = ConstantEditor(result)
    nodes = {name_of(node): node for node in result.graph}
    values = ir.convenience.create_value_mapping(result.graph, include_subgraphs=False)
    stored = {point.node for point in plan.weights}
    for shift in shifts:
        if shift.tensor not in encodings:
            continue
        given = _array_of(values[shift.constant])
        whole = _whole_steps(given, encodings[shift.tensor])
        values[shift.constant].const_value = ir.Tensor(whole, name=shift.constant)
        for node in map(nodes.__getitem__, shift.readers):
            read = (
                as_stored(weight_of(node), on_axis(weights, 0))
                if name_of(node) in stored
                else weight_of(node)
            )
            editor.set_bias(node, bias_of(node) + constant_response(node, read, (given - whole).reshape(-1)))
    return replace(model, ir=result)


def _whole_steps(shift: FloatArray, encoding: Encoding) -> FloatArray:
    step = np.float32(encoding.scale)
    whole: FloatArray = (np.round(shift / step) * step).astype(np.float32)
    return whole


def _array_of(value: ir.Value) -> FloatArray:
    assert value.const_value is not None
    array: FloatArray = value.const_value.numpy()
    return array


def _gain(low: FloatArray, high: FloatArray) -> float:
    """The width of the range that centred channels need to that of the symmetric one before."""
    before = float(np.maximum(np.abs(low), np.abs(high)).max(initial=0.0))
    return float(half_widths(low, high).max(initial=0.0)) / before if before > 0 else 1.0


def _pads_of(node: ir.Node) -> tuple[int, ...]:
    """What a convolution pads, first all beginnings, then all ends, without batch and channels."""
    return tuple(node.attributes.get_ints("pads", (0,) * 2 * (weight_of(node).ndim - 2)))


class _Editor:
    """Shifts tensors of one graph in place; only centred's own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False)
        self._constants = ConstantEditor(model)
        self._names = UniqueNames(value_names(model))
        self._node_names = UniqueNames(name_of(node) for node in model.graph)

    def shift(self, tensor: str, readers: Sequence[ir.Node], by: FloatArray) -> list[Shift]:
        """Let ``readers`` read the tensor plus ``by``, (C,): an Add for each way of padding."""
        alike: dict[tuple[int, ...], list[ir.Node]] = {}
        for node in readers:
            alike.setdefault(_pads_of(node), []).append(node)
        return [self._shifted(self._values[tensor], pads, nodes, by) for pads, nodes in alike.items()]

    def _shifted(
        self, source: ir.Value, pads: tuple[int, ...], readers: Sequence[ir.Node], by: FloatArray
    ) -> Shift:
        rank = 2 + len(pads) // 2
        require_channels(by, input_channels(readers[0]), name_of(source))
        constant = self._constants.constant(f"{source.name}_shift", by.reshape(1, -1, *[1] * (rank - 2)))
        data = self._padded(source, pads) if any(pads) else source
        read = self._computed("Add", "shifted", source, [data, constant], keeps_shape=data is source)
        for node in readers:
            node.replace_input_with(DATA, read)
            if any(pads):
                node.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
            self._constants.set_bias(node, bias_of(node) - constant_response(node, weight_of(node), by))
        return Shift(
            name_of(read), name_of(source), name_of(constant), tuple(name_of(node) for node in readers)
        )

    def _padded(self, source: ir.Value, pads: tuple[int, ...]) -> ir.Value:
        half = len(pads) // 2
        amounts = np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
        name = self._names.fresh(f"{source.name}_pads")
        given = ir.Value(
            name=name,
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape(amounts.shape),
            const_value=ir.Tensor(amounts, name=name),
        )
        self._graph.register_initializer(given)
        return self._computed("Pad", "padded", source, [source, given], keeps_shape=False)

    def _computed(
        self, op_type: str, suffix: str, source: ir.Value, inputs: Sequence[ir.Value], *, keeps_shape: bool
    ) -> ir.Value:
        """The output of a new node behind its first input."""
        name = self._names.fresh(f"{name_of(source)}_{suffix}")
        shape = source.shape.copy() if source.shape is not None and keeps_shape else None
        output = ir.Value(name=name, type=source.type, shape=shape)
        node = ir.Node(
            "", op_type, inputs, outputs=[output], name=self._node_names.fresh(f"{name}_{op_type}")
        )
        producer = inputs[0].producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], node)
        else:
            self._graph.insert_after(producer, node)
        return output
