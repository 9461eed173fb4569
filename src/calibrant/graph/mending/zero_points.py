"""Zero points for targets that have none: a shift before rounding, which the biases behind it undo.

A symmetric range gives half of its steps to values that SiLU, ReLU and images never take. Adding a whole
number of steps moves what a tensor does take into the middle of the range, as a zero point would; zeros stay
exact. The zeros that a convolution pads with must move, too: a Pad of its own gives them their value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from calibrant.core.quantize import dequantized, encoding_of, on_axis, quantized, weight_encoding
from calibrant.core.types import Encoding, FloatArray, QuantSpec, Range
from calibrant.graph.mending.mended import Change, Mended
from calibrant.graph.mending.weights import DATA, ConstantEditor, bias_of, is_mendable, weight_of
from calibrant.graph.model import Model
from calibrant.graph.onnx_passes import with_opset
from calibrant.graph.points import QuantPlan
from calibrant.graph.walk import UniqueNames, name_of, value_names

# From this opset on, Pad takes what it pads with as inputs.
PAD_OPSET = 11
# A shift that makes steps less than so much smaller is not worth an Add.
LEAST_GAIN = 0.85


@dataclass(frozen=True)
class Shifted:
    """A model whose tensors were shifted, and the symmetric encodings of the shifted ones, by name."""

    mended: Mended
    encodings: Mapping[str, Encoding]


def shifted(
    model: Model,
    plan: QuantPlan,
    weights: QuantSpec,
    symmetric: Mapping[str, Encoding],
    ranges: Mapping[str, Range],
    *,
    pads: bool,
) -> Shifted:
    """Shift what the plan's convolutions read, where steps become smaller than ``symmetric`` has them.

    ranges: by tensor, from low to high, not symmetric. pads: also before convolutions that pad, at the cost
    of a Pad. The float model changes: it is right once its weights are stored as integers. New tensors are
    called ``<tensor>_shifted`` and ``_padded``. Changes are "shifted".
    """
    result = with_opset(model.ir, PAD_OPSET)
    editor = _Editor(result, weights)
    encodings: dict[str, Encoding] = {}
    changes = []
    for tensor, readers in _readers(result, plan, pads=pads).items():
        encoding = encoding_of(ranges[tensor], replace(symmetric[tensor].spec, symmetric=False))
        gain = float(encoding.scale) / float(symmetric[tensor].scale)
        if encoding.zero_point == 0 or gain > LEAST_GAIN:
            continue
        names = editor.shift(tensor, readers, float(encoding.scale) * int(encoding.zero_point))
        encodings |= dict.fromkeys(names, replace(symmetric[tensor], scale=encoding.scale))
        why = f"by {int(encoding.zero_point)} steps, which are {gain:.2f} of what they were"
        changes.append(Change("shifted", tensor, tuple(name_of(node) for node in readers), why))
    return Shifted(Mended(replace(model, ir=result), tuple(changes)), encodings)


def _readers(model: ir.Model, plan: QuantPlan, *, pads: bool) -> dict[str, list[ir.Node]]:
    """The convolutions that can undo a shift of what they read, by tensor; tied tensors are left alone."""
    weighted = {point.node: point for point in plan.weights}
    tied = {name for point in plan.activations if point.tied_to for name in (point.tensor, point.tied_to)}
    found: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if name_of(node) in weighted and is_mendable(node) and _is_explicit(node):
            source = node.inputs[DATA]
            assert source is not None
            if name_of(source) not in tied and (pads or not any(_pads_of(node))):
                found.setdefault(name_of(source), []).append(node)
    return found


def _is_explicit(node: ir.Node) -> bool:
    """Whether a convolution says itself how much it pads."""
    return node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


def _pads_of(node: ir.Node) -> tuple[int, ...]:
    """What a convolution pads, first all beginnings, then all ends, without batch and channels."""
    return tuple(node.attributes.get_ints("pads", (0,) * 2 * (weight_of(node).ndim - 2)))


class _Editor:
    """Shifts tensors of one graph in place; only shifted's own copy is ever given to it."""

    def __init__(self, model: ir.Model, weights: QuantSpec) -> None:
        self._graph, self._weights = model.graph, weights
        self._values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False)
        self._constants = ConstantEditor(model)
        self._names = UniqueNames(value_names(model))
        self._node_names = UniqueNames(name_of(node) for node in model.graph)

    def shift(self, tensor: str, readers: Sequence[ir.Node], by: float) -> list[str]:
        """Let ``readers`` read the tensor plus ``by``; returns the names of what they read."""
        source = self._values[tensor]
        added = self._computed("Add", "shifted", source, source, [self._constant(tensor, by)])
        read: dict[tuple[int, ...], ir.Value] = {}
        for node in readers:
            pads = _pads_of(node)
            if pads not in read:
                read[pads] = self._padded(tensor, added, pads, by) if any(pads) else added
            node.replace_input_with(DATA, read[pads])
            if any(pads):
                node.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
            self._constants.set_bias(node, bias_of(node) - np.float32(by) * self._stored_sums(node))
        return [name_of(value) for value in read.values()]

    def _padded(self, tensor: str, added: ir.Value, pads: tuple[int, ...], by: float) -> ir.Value:
        half = len(pads) // 2
        amounts = np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
        wish = self._names.fresh(f"{tensor}_pads")
        given = ir.Value(
            name=wish,
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape(amounts.shape),
            const_value=ir.Tensor(amounts, name=wish),
        )
        self._graph.register_initializer(given)
        return self._computed(
            "Pad", "padded", self._values[tensor], added, [given, self._constant(tensor, by)]
        )

    def _constant(self, tensor: str, by: float) -> ir.Value:
        return self._constants.constant(f"{tensor}_shift", np.asarray(by, np.float32))

    def _computed(
        self, op_type: str, suffix: str, source: ir.Value, data: ir.Value, others: Sequence[ir.Value]
    ) -> ir.Value:
        """The output of a new node behind ``data``; of the rank of ``source``."""
        name = self._names.fresh(f"{name_of(source)}_{suffix}")
        shape = source.shape.copy() if source.shape is not None and op_type != "Pad" else None
        output = ir.Value(name=name, type=source.type, shape=shape)
        node_name = self._node_names.fresh(f"{name}_{op_type}")
        node = ir.Node("", op_type, [data, *others], outputs=[output], name=node_name)
        producer = data.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], node)
        else:
            self._graph.insert_after(producer, node)
        return output

    def _stored_sums(self, node: ir.Node) -> FloatArray:
        """The sum of each output channel's weights as they are stored, (out,)."""
        weight = weight_of(node)
        encoding = weight_encoding(weight, on_axis(self._weights, 0))
        stored = dequantized(quantized(weight, encoding), encoding)
        sums: FloatArray = stored.reshape(len(stored), -1).sum(axis=1, dtype=np.float64).astype(np.float32)
        return sums
