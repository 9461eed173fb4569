"""ONNX's own shape inference and version conversion, for models of any size.

Both are C++ functions that take a whole protobuf, which cannot exceed 2 GB. The heavy initializers stay
behind: the functions see them as graph inputs of known shape, and the result gets them back.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from onnx import version_converter

from calibrant.core.errors import ModelError
from calibrant.graph.walk import in_memory

# Small initializers are shapes, axes and split sizes, whose values inference and conversion must know.
_HEAVY_BYTES = 1024


def with_inferred_shapes(model: ir.Model) -> ir.Model:
    """A copy in which every value has the type and shape that ONNX infers, as far as it can."""
    result = model.clone()
    inferred = _transformed(model, _inferred)
    known = ir.convenience.create_value_mapping(inferred.graph)
    for name, value in ir.convenience.create_value_mapping(result.graph).items():
        if name in known and not value.is_initializer():
            _describe(value, known[name])
    return result


def with_opset(model: ir.Model, opset: int) -> ir.Model:
    """A copy in ``opset`` at least, converted by ONNX where the model's own is lower.

    Raises ModelError where ONNX has no conversion.
    """
    current = model.opset_imports.get("", opset)
    if current >= opset:
        return model.clone()
    try:
        result = _transformed(model, lambda proto: version_converter.convert_version(proto, opset))
    except Exception as error:  # the converter's C++ code raises plain RuntimeError and others
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"opset {current} cannot be raised to {opset}, which Q/DQ needs: {reason}; "
            f"export the model again with opset {opset}"
        ) from error
    known = ir.convenience.create_value_mapping(model.graph)
    for name, value in ir.convenience.create_value_mapping(result.graph).items():
        if name in known:
            _describe(value, known[name])
    result.ir_version = max(result.ir_version, onnx.helper.OP_SET_ID_VERSION_MAP["ai.onnx", opset])
    return result


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, RuntimeError):  # a contradiction somewhere in the graph
        return proto


def _describe(value: ir.Value, like: ir.Value) -> None:
    if like.type is not None:
        value.type = like.type
    if like.shape is not None:
        value.shape = like.shape.copy()


def _transformed(model: ir.Model, function: Callable[[onnx.ModelProto], onnx.ModelProto]) -> ir.Model:
    """Apply an ONNX function to a copy without heavy initializers, and give the result its weights back."""
    light = model.clone()
    heavy = _take_out_heavy(light.graph)
    result = ir.serde.deserialize_model(function(ir.serde.serialize_model(light)))
    for value in list(result.graph.inputs):
        if value.name in heavy:
            result.graph.inputs.remove(value)
            value.const_value = heavy[value.name]
            result.graph.register_initializer(value)
    return result


def _take_out_heavy(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    heavy = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        assert tensor is not None
        if tensor.nbytes > _HEAVY_BYTES:
            heavy[name] = tensor
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
        else:
            value.const_value = in_memory(tensor)
    return heavy
