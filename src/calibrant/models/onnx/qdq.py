"""Inserting Q/DQ: a float model, a plan and its encodings become an explicitly quantized model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError, SettingsError
from calibrant.core.quantize import on_axis, quantized, weight_encoding
from calibrant.core.schemes import SCHEME_PROPERTY
from calibrant.core.types import Encoding, PerChannel, PerTensor, QuantSpec, Scheme
from calibrant.models.onnx.biases import (
    BIAS_INPUT,
    BiasPoint,
    bias_encoding,
    bias_points,
    quantized_bias,
    with_room_for,
)
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.onnx_passes import with_opset
from calibrant.models.onnx.points import ActivationPoint, QuantPoints, WeightPoint
from calibrant.models.onnx.walk import UniqueNames, constant_tensor, is_standard, name_of, value_names


@dataclass(frozen=True)
class QdqModel:
    """A quantized model, and for each activation of its plan the initializers of scale and zero point."""

    ir: ir.Model
    parameters: tuple[tuple[str, str], ...]


def with_qdq(
    model: Model,
    plan: QuantPoints,
    encodings: Mapping[str, Encoding],
    scheme: Scheme,
    *,
    float_weights: bool = False,
) -> ir.Model:
    """A quantized copy of ``model``, in the scheme's opset or the model's own where that is higher.

    Every activation of the plan gets one QuantizeLinear/DequantizeLinear pair, read by the plan's
    consumers only. With ``float_weights`` a weight stays float and gets a pair too, which TensorRT takes
    from 8 on; without, it is stored as integers with a DequantizeLinear, a quarter of the size, which
    TensorRT 8.5 refuses. Weights are scaled by their own largest magnitudes; biases are int32 where the
    scheme says so and stay float elsewhere. The model's metadata names the scheme.
    New tensors are called ``<tensor>_quantized``, ``_dequantized``, ``_scale`` and ``_zero_point``.

    Raises SettingsError for an activation without an encoding, or one that ONNX cannot express, and
    NumericsError for a weight that is not finite.
    """
    return qdq_model(model, plan, encodings, scheme, float_weights=float_weights).ir


def qdq_model(
    model: Model,
    plan: QuantPoints,
    encodings: Mapping[str, Encoding],
    scheme: Scheme,
    *,
    float_weights: bool = False,
) -> QdqModel:
    """As :func:`with_qdq`, telling where the activations' numbers are. Raises as with_qdq."""
    require_encodings(plan, encodings)
    result = with_opset(model.ir, scheme.min_opset)
    editor = _Editor(result)
    result.metadata_props[SCHEME_PROPERTY] = scheme.name
    biases = bias_points(result, plan, encodings) if scheme.quantizes_biases else {}
    parameters = tuple(
        editor.quantize_activation(activation, encodings[activation.encoded_as]).names
        for activation in plan.activations
    )
    readers: dict[tuple[str, int], list[WeightPoint]] = {}
    for weight in plan.weights:
        readers.setdefault((weight.tensor, weight.axis), []).append(weight)
    for points in readers.values():
        own = [biases[point.node] for point in points if point.node in biases]
        encoding = editor.quantize_weight(points, scheme.weights, float_weights, own)
        for bias in own:
            editor.quantize_bias(bias, encoding)
    return QdqModel(result, parameters)


def qdq_to_deploy(
    model: Model, plan: QuantPoints, encodings: Mapping[str, Encoding], scheme: Scheme
) -> ir.Model:
    """As :func:`with_qdq`, with weights as the scheme's target takes them. Raises as with_qdq."""
    return with_qdq(model, plan, encodings, scheme, float_weights=not scheme.stores_integers)


@dataclass(frozen=True)
class _Parameters:
    """Scale and zero point as graph values, and the axis they run along."""

    scale: ir.Value
    zero_point: ir.Value
    stored_as: ir.DataType
    axis: int | None

    @property
    def names(self) -> tuple[str, str]:
        """Of the initializers: the scale's and the zero point's."""
        return name_of(self.scale), name_of(self.zero_point)


class _Editor:
    """Edits one graph in place; only with_qdq's own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False)
        self._nodes = {name_of(node): node for node in model.graph}
        self._names = UniqueNames(value_names(model))
        self._node_names = UniqueNames(self._nodes)

    def quantize_activation(self, point: ActivationPoint, encoding: Encoding) -> _Parameters:
        """Put a pair behind the tensor and let the plan's consumers read from it."""
        source = self._values[point.tensor]
        parameters = self._parameters(point.tensor, encoding)
        guards = [self._guard(source)] if point.is_guarded else []
        data = guards[0].outputs[0] if guards else source
        quantize = self._node("QuantizeLinear", data, source, parameters)
        dequantize = self._node("DequantizeLinear", quantize.outputs[0], source, parameters)
        producer = source.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], [quantize, dequantize])
        else:
            self._graph.insert_after(producer, [*guards, quantize, dequantize])
        for node, index in point.consumers:
            self._nodes[node].replace_input_with(index, dequantize.outputs[0])
        if point.is_output:
            self._give_out(source, dequantize.outputs[0])
        return parameters

    def quantize_weight(
        self, points: list[WeightPoint], spec: QuantSpec, float_weights: bool, biases: Sequence[BiasPoint]
    ) -> Encoding:
        """Store a weight once as integers (or float with a pair) and let its readers dequantize it."""
        _require_whole_channels(points[0].tensor, spec)
        source = self._values[points[0].tensor]
        weights = _finite_constant(source)
        encoding = with_room_for(biases, weight_encoding(weights, on_axis(spec, points[0].axis)))
        parameters = self._parameters(points[0].tensor, encoding)
        nodes = []
        if float_weights:
            nodes.append(self._node("QuantizeLinear", source, source, parameters))
            stored = nodes[0].outputs[0]
        else:
            integers = quantized(weights, encoding)
            stored = self._initializer(f"{source.name}_quantized", _stored(integers, spec))
        nodes.append(self._node("DequantizeLinear", stored, source, parameters))
        readers = [self._nodes[point.node] for point in points]
        self._graph.insert_before(readers[0], nodes)
        for reader, point in zip(readers, points, strict=True):
            reader.replace_input_with(point.input_index, nodes[-1].outputs[0])
        self._discard_unread(source)
        return encoding

    def quantize_bias(self, bias: BiasPoint, weight: Encoding) -> None:
        """Store a bias as int32, in the scale of the products it is added to."""
        source, reader = self._values[bias.tensor], self._nodes[bias.node]
        encoding = bias_encoding(bias, weight)
        parameters = self._parameters(bias.tensor, encoding)
        integers = _stored(quantized_bias(bias, encoding), encoding.spec)
        stored = self._initializer(f"{bias.tensor}_quantized", integers)
        node = self._node("DequantizeLinear", stored, source, parameters)
        self._graph.insert_before(reader, [node])
        reader.replace_input_with(BIAS_INPUT, node.outputs[0])
        self._discard_unread(source)

    def _guard(self, source: ir.Value) -> ir.Node:
        """A Max of one tensor, which copies it.

        ONNX Runtime (1.32) quantizes the weights of a float convolution between two pairs by itself.
        """
        shape = source.shape.copy() if source.shape is not None else None
        output = ir.Value(name=self._names.fresh(f"{source.name}_kept_float"), type=source.type, shape=shape)
        name = self._node_names.fresh(f"{source.name}_Max")
        return ir.Node("", "Max", [source], [], outputs=[output], name=name)

    def _give_out(self, source: ir.Value, dequantized: ir.Value) -> None:
        """Let the graph's outputs of a tensor's name be what was dequantized of it."""
        name = name_of(source)
        source.name = self._names.fresh(f"{name}_float")
        dequantized.name = name
        for index, output in enumerate(self._graph.outputs):
            if output is source:
                self._graph.outputs[index] = dequantized

    def _parameters(self, tensor: str, encoding: Encoding) -> _Parameters:
        granularity = encoding.spec.granularity
        scale, zero_point = parameter_tensors(encoding)
        return _Parameters(
            self._initializer(f"{tensor}_scale", scale),
            self._initializer(f"{tensor}_zero_point", zero_point),
            zero_point.dtype,
            granularity.axis if isinstance(granularity, PerChannel) else None,
        )

    def _node(self, op_type: str, data: ir.Value, source: ir.Value, parameters: _Parameters) -> ir.Node:
        quantizes = op_type == "QuantizeLinear"
        output = ir.Value(
            name=self._names.fresh(f"{source.name}_{'quantized' if quantizes else 'dequantized'}"),
            type=ir.TensorType(parameters.stored_as if quantizes else ir.DataType.FLOAT),
            shape=source.shape.copy() if source.shape is not None else None,
        )
        return ir.Node(
            "",
            op_type,
            [data, parameters.scale, parameters.zero_point],
            [ir.AttrInt64("axis", parameters.axis)] if parameters.axis is not None else [],
            outputs=[output],
            name=self._node_names.fresh(f"{source.name}_{op_type}"),
        )

    def _initializer(self, name: str, tensor: ir.Tensor[Any]) -> ir.Value:
        tensor.name = self._names.fresh(name)
        value = ir.Value(
            name=tensor.name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor
        )
        self._graph.register_initializer(value)
        return value

    def _discard_unread(self, value: ir.Value) -> None:
        """Remove a float weight that nobody reads any more, and what only led to it."""
        if value.uses() or value.is_graph_output():
            return
        if value.is_initializer():
            del self._graph.initializers[name_of(value)]
            return
        producer = value.producer()
        if producer is not None and is_standard(producer, "Constant", "Identity", "Transpose"):
            sources = [source for source in producer.inputs if source is not None]
            self._graph.remove(producer, safe=True)
            for source in sources:
                self._discard_unread(source)


def require_finite_weights(model: Model, plan: QuantPoints) -> None:
    """Raise NumericsError when a weight of the plan holds NaN or infinite values, naming it."""
    values = ir.convenience.create_value_mapping(model.ir.graph, include_subgraphs=False)
    for tensor in dict.fromkeys(point.tensor for point in plan.weights):
        _finite_constant(values[tensor])


def parameter_tensors(encoding: Encoding) -> tuple[ir.Tensor[Any], ir.Tensor[Any]]:
    """Scale and zero point as a Q/DQ model holds them."""
    return ir.Tensor(encoding.scale.astype(np.float32)), _stored(encoding.zero_point, encoding.spec)


def require_encodings(plan: QuantPoints, encodings: Mapping[str, Encoding]) -> None:
    """Raise SettingsError for an activation without an encoding, or one that ONNX cannot express."""
    missing = [point.encoded_as for point in plan.activations if point.encoded_as not in encodings]
    if missing:
        raise SettingsError(
            f"{len(missing)} of {len(plan.activations)} activations have no encoding, e.g. {missing[0]!r}; "
            "calibrate the model again"
        )
    for point in plan.activations:
        _require_expressible(point.encoded_as, encodings[point.encoded_as])


def _require_whole_channels(tensor: str, spec: QuantSpec) -> None:
    if not isinstance(spec.granularity, PerTensor | PerChannel):
        raise SettingsError(
            f"{tensor!r} would have scales {spec.granularity}, and a Q/DQ model has one for a tensor or a "
            "channel; use PerTensor() or PerChannel()"
        )


def _require_expressible(tensor: str, encoding: Encoding) -> None:
    _require_whole_channels(tensor, encoding.spec)
    if not (np.isfinite(encoding.scale).all() and (encoding.scale > 0).all()):
        raise SettingsError(f"the scale of {tensor!r} is not positive; calibrate the model again")
    if encoding.spec.narrow:
        raise SettingsError(
            f"{tensor!r} has a narrow encoding, which QuantizeLinear lacks; use the full range"
        )


def _finite_constant(source: ir.Value) -> NDArray[np.float32]:
    tensor = constant_tensor(source)
    assert tensor is not None
    weights: NDArray[np.float32] = tensor.numpy()
    if not np.isfinite(weights).all():
        raise NumericsError(f"weight {source.name!r} holds NaN or infinite values; export the model again")
    return weights


def _stored(integers: NDArray[np.int64], spec: QuantSpec) -> ir.Tensor[Any]:
    dtype = ir.DataType[spec.dtype.upper()]
    return ir.Tensor(integers.astype(dtype.numpy()), dtype=dtype)
