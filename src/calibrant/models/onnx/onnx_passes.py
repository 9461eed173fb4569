"""ONNX's own shape inference and version conversion, for models of any size.

Both are C++ functions that take a whole protobuf, which cannot exceed 2 GB. The heavy initializers stay
behind: the functions see them as graph inputs of known shape, and the result gets them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import onnx
import onnx_ir as ir
from onnx import version_converter

from calibrant.core.errors import ModelError
from calibrant.models.onnx.walk import in_memory, is_standard, name_nodes, own_constant

# Small initializers are shapes, axes and split sizes, whose values inference and conversion must know.
_HEAVY_BYTES = 1024
_RESIZE_HAS_MODES_SINCE = 11
_SCALES = 2


def check_graph(proto: onnx.ModelProto) -> None:
    """ONNX's own check of a graph, without copies of its weights. Raises whatever ONNX raises.

    Whether the data of a weight fills its shape is for the reader to see.
    """
    light = onnx.ModelProto(ir_version=proto.ir_version)
    light.opset_import.extend(proto.opset_import)
    light.functions.extend(proto.functions)
    light.metadata_props.extend(proto.metadata_props)
    graph, whole = light.graph, proto.graph
    graph.name = whole.name
    graph.node.extend(whole.node)
    graph.input.extend(whole.input)
    graph.output.extend(whole.output)
    graph.value_info.extend(whole.value_info)
    graph.sparse_initializer.extend(whole.sparse_initializer)
    inputs = {value.name for value in whole.input}
    for tensor in whole.initializer:
        if not _is_heavy(tensor):
            graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.checker.check_model(light)


def _is_heavy(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.ByteSize() > _HEAVY_BYTES


def with_inferred_shapes(model: ir.Model) -> ir.Model:
    """A copy in which every value has the type and shape that ONNX infers, as far as it can."""
    result = model.clone()
    infer_shapes(result)
    return result


def infer_shapes(model: ir.Model) -> None:
    """Give every value of ``model`` itself the type and shape that ONNX infers, as far as it can."""
    light = model.clone()
    _take_out_heavy(light.graph)
    known = {info.name: info for info in _described(_inferred(ir.serde.serialize_model(light)).graph)}
    for name, value in ir.convenience.create_value_mapping(model.graph).items():
        if name in known and not value.is_initializer():
            _describe(value, ir.serde.deserialize_value_info_proto(known[name], None))


def _described(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """All values of a graph that have a type, those of subgraphs included."""
    yield from (*graph.input, *graph.output, *graph.value_info)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _described(attribute.g)
            elif attribute.type == onnx.AttributeProto.GRAPHS:
                for body in attribute.graphs:
                    yield from _described(body)


def with_opset(model: ir.Model, opset: int) -> ir.Model:
    """A copy in ``opset`` at least, converted by ONNX where the model's own is lower.

    It computes the same: what ONNX's converter forgets is set. Nodes keep their names, also those that it
    replaces; whatever it adds is called as :func:`name_nodes` does.
    Raises ModelError where ONNX has no conversion, or its result is no valid graph.
    """
    current = model.opset_imports.get("", opset)
    if current >= opset:
        return model.clone()
    try:
        result = _transformed(_convertible(model), partial(_converted, opset=opset))
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
    _name_as_before(result, model)
    _resize_as_before(result, model)
    result.ir_version = max(result.ir_version, onnx.helper.OP_SET_ID_VERSION_MAP["ai.onnx", opset])
    return result


def _converted(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Converted by ONNX, which keeps the names of outputs only: so all tensors are outputs meanwhile."""
    own = [output.name for output in proto.graph.output]
    computed = {name for node in proto.graph.node for name in node.output if name}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(computed.difference(own)))
    result = version_converter.convert_version(proto, opset)
    del result.graph.output[len(own) :]
    _require_valid(result)  # bodies of If, Loop and Scan, for one, stay as they were
    return result


def _require_valid(proto: onnx.ModelProto) -> None:
    """Raise what ONNX's checker raises, but take outputs of unknown rank, as runtimes do."""
    checked = onnx.ModelProto()
    checked.CopyFrom(proto)
    known = [output for output in proto.graph.output if output.type.tensor_type.HasField("shape")]
    del checked.graph.output[:]
    checked.graph.output.extend(known)
    onnx.checker.check_model(checked)


def _convertible(model: ir.Model) -> ir.Model:
    """The model without what ONNX's converter carries over although the newer operator lacks it."""
    useless = [
        node
        for node in model.graph
        if is_standard(node, "Pad") and node.attributes.get_string("mode", "constant") != "constant"
    ]
    if not any("value" in node.attributes for node in useless):
        return model
    names = {node.name for node in useless}
    result = model.clone()
    for node in result.graph:
        if node.name in names:
            node.attributes.pop("value", None)
    return result


def _name_as_before(result: ir.Model, model: ir.Model) -> None:
    """Nodes are known by what they give: the converter drops the names of those that it replaces."""
    names = {
        output.name: node.name
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        for output in node.outputs
        if output.name
    }
    for node in ir.traversal.RecursiveGraphIterator(result.graph):
        given = next((names[output.name] for output in node.outputs if output.name in names), None)
        node.name = given or node.name
    name_nodes(result)


def _resize_as_before(result: ir.Model, model: ir.Model) -> None:
    """Say what was meant before opset 11, when Resize and Upsample had no modes of coordinates.

    Sources: the text of Upsample-9 and Resize-10, and ONNX Runtime for what it leaves open: the nearest
    value is the one before, but where a tensor shrinks the one after.
    """
    meant = {
        node.outputs[0].name
        for node in model.graph
        if is_standard(node, "Upsample")
        or (is_standard(node, "Resize") and model.opset_imports.get("", 0) < _RESIZE_HAS_MODES_SINCE)
    }
    for node in result.graph:
        if is_standard(node, "Resize") and node.outputs[0].name in meant:
            node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
            if node.attributes.get_string("mode", "nearest") == "nearest":
                node.attributes.add(ir.AttrString("nearest_mode", "ceil" if _shrinks(node) else "floor"))


def _shrinks(resize: ir.Node) -> bool:
    """Whether no axis grows and one shrinks: one mode has to serve them all."""
    value = resize.inputs[_SCALES]
    scales = own_constant(value) if value is not None else None
    if scales is None or scales.size == 0:
        return False
    return bool((scales.numpy() <= 1).all() and (scales.numpy() < 1).any())


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
