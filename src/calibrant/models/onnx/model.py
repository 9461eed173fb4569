"""ONNX models: loaded with suspicion, described, and saved whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from calibrant.core.disk import cannot_write
from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.models.onnx.files import external_files, read_inner_data, read_proto, sha256_of
from calibrant.models.onnx.folding import fold_weights
from calibrant.models.onnx.half import in_float32, is_half
from calibrant.models.onnx.onnx_passes import check_graph, infer_shapes, with_inferred_shapes, with_opset
from calibrant.models.onnx.standard_form import standardize
from calibrant.models.onnx.walk import in_memory, is_compute, is_standard, name_nodes, name_of, walk_back

Graph: TypeAlias = ir.Model
_OLDEST_OPSET = 7
_HALF_REMARK = (
    "{name} has 16-bit floats (half=True), which are taken as float32: so is the input of what is written"
)
# Protobuf ends at 2 GB; the graph itself needs some of that.
_LARGEST_INLINE = 1_800_000_000


@dataclass(frozen=True)
class Model:
    """A float or quantized ONNX model that was read from a file.

    sha256: over the file and its external data files, in hex. ir: the graph with every node named
    uniquely (a nameless node is called by its operator and first output, ``Conv_<output>``), local functions
    inlined, initializers not among the inputs, types and shapes inferred, weights that are computed from
    constants made constants, and 16-bit floats made float32; tensors keep their names.
    Treat it as immutable: passes return a new one. Weights are read from the file when they are needed.
    is_as_in_file: whether the file takes the same inputs, so that a runtime may open it instead.
    given: the graph before its opset was raised, for a model that :func:`raised` made; else None.
    remarks: what a user is told of how the file was read.
    """

    path: Path
    sha256: str
    ir: Graph
    is_as_in_file: bool = True
    given: Graph | None = None
    remarks: tuple[str, ...] = ()

    @property
    def as_given(self) -> Model:
        """The model in the opset of its file."""
        return self if self.given is None else replace(self, ir=self.given, given=None)


def load_model(path: Path) -> Model:
    """Read and check an ONNX file.

    Raises ModelError, with the remedy, for a file that is missing, not ONNX, damaged, empty, of an opset
    that is too old or too new, not a valid graph, or whose external data is missing or lies elsewhere.
    """
    proto = read_proto(path)
    files = (path, *external_files(path, proto))
    was_altered = standardize(proto)
    _require_known_opset(path, proto)
    try:
        read_inner_data(path, proto)
        check_graph(proto)
        graph = _normalised(proto, path)
    except Exception as error:  # a hostile file makes C++ code raise anything
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path.name} is not a valid ONNX graph: {reason}; export it again") from error
    was_half = is_half(graph)
    if was_half:
        graph = in_float32(graph)
    return Model(
        path,
        sha256_of(files),
        graph,
        is_as_in_file=not (was_altered or was_half),
        remarks=(_HALF_REMARK.format(name=path.name),) if was_half else (),
    )


def raised(model: Model, opset: int) -> Model:
    """The model in ``opset`` at least; itself where that is its own. Raises ModelError as with_opset."""
    if opset_of(model) >= opset:
        return model
    return replace(model, ir=with_opset(model.ir, opset), given=model.ir)


def model_sha256(path: Path) -> str:
    """The hash that :func:`load_model` gives, of a file that need not be a graph. Raises ModelError."""
    return sha256_of((path, *external_files(path, read_proto(path))))


def signature_of(model: Model) -> ModelSignature:
    """Describe a model by what shows without running it.

    ``tail_ops`` lists each operator type once. A shape is () where even the number of dimensions is unknown.
    """
    graph = model.ir.graph
    every_node = ir.traversal.RecursiveGraphIterator(graph)
    return ModelSignature(
        inputs=tuple(_info_of(value) for value in graph.inputs),
        outputs=tuple(_info_of(value) for value in graph.outputs),
        op_counts=dict(Counter(node.op_type for node in every_node)),
        tail_ops={name_of(output): _tail_of(output) for output in graph.outputs},
        metadata=dict(model.ir.metadata_props),
    )


def opset_of(model: Model) -> int:
    """The version of the standard ONNX operators that the model uses."""
    return int(model.ir.opset_imports.get("", 0))


def dynamic_plane_input(signature: ModelSignature) -> bool:
    """Whether the image input leaves height or width open, so that the user has to say them (``--imgsz``)."""
    found = _plane_input(signature)
    return found is not None and None in (found.shape[axis] for axis in _spatial_axes(found.shape))


def needs_a_copy(model: Model) -> bool:
    """Whether a runtime cannot open the model's file in the model's stead.

    It takes other inputs, is written in another way, or keeps integers, such as the target of a Reshape, in
    external data, which ONNX Runtime refuses.
    """
    return not model.is_as_in_file or any(
        isinstance(tensor, ir.ExternalTensor) and tensor.dtype == ir.DataType.INT64
        for tensor in _weights_of(model.ir)
    )


def with_fixed_input(model: Model, height: int, width: int) -> ir.Model:
    """Fix the image input's open dimensions: batch 1, and the given height and width in pixels.

    The image input is the first one with four dimensions, NCHW or NHWC. All shapes are inferred anew.
    Raises ModelError where there is none, and SettingsError where it is fixed at another size.
    """
    found = _plane_input(signature_of(model))
    if found is None:
        raise ModelError(
            f"{model.path.name} has no input with a height and a width, e.g. of shape 1x3x640x640"
        )
    vertical, horizontal = _spatial_axes(found.shape)
    wanted = {0: 1, vertical: height, horizontal: width}
    if any(found.shape[axis] not in (None, wanted[axis]) for axis in (vertical, horizontal)):
        raise SettingsError(
            f"input {found.name!r} is fixed at {found.shape[vertical]}x{found.shape[horizontal]} and cannot "
            f"take {height}x{width}; leave --input-shape out, or export the model with dynamic axes"
        )
    dims = [wanted.get(axis) if dim is None else dim for axis, dim in enumerate(found.shape)]
    return with_input_shapes(model.ir, {found.name: dims})


def with_input_shapes(graph: ir.Model, shapes: dict[str, list[int | None]]) -> ir.Model:
    """A copy whose graph inputs have the given shapes, and everything else what follows from them."""
    result = graph.clone()
    for value in ir.convenience.create_value_mapping(result.graph).values():
        if value.name in shapes:
            value.shape = ir.Shape(shapes[value.name])
        elif value.shape is not None and not value.is_initializer():
            # What is known holds for every input; the names of open dimensions are now in the way.
            value.shape = ir.Shape([dim if isinstance(dim, int) else None for dim in value.shape])
    return with_inferred_shapes(result)


def save_model(model: ir.Model, path: Path) -> None:
    """Write a model so that ``path`` holds all of it or what it held before.

    Weights that exceed what one file can hold go to ``<name>.data`` beside it.
    Raises OutputError where the folder is missing, not writable or full.
    """
    if fits_one_file(model):
        save_serialized(serialized(model).SerializeToString(), path)
        return
    with _draft_of(path) as draft:
        data = draft.with_name(f"{path.name}.data")
        ir.save(model, draft, format="protobuf", external_data=data.name)
        if data.exists():
            weights = _on_disk(data)
            # A graph must never lie beside the weights of another one.
            path.unlink(missing_ok=True)
            weights.replace(path.with_name(data.name))


def save_serialized(content: bytes, path: Path) -> None:
    """Write a serialized model as :func:`save_model` does. Raises OutputError."""
    with _draft_of(path) as draft:
        draft.write_bytes(content)


def fits_one_file(model: ir.Model) -> bool:
    """Whether the model with all its weights is less than protobuf can hold."""
    return sum(tensor.nbytes for tensor in _weights_of(model)) <= _LARGEST_INLINE


def serialized(model: ir.Model) -> onnx.ModelProto:
    """A model that fits one file, with all its weights inside."""
    return ir.serde.serialize_model(_with_weights_in_memory(model))


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A file that takes the name of ``path`` once it is written. Raises OutputError."""
    try:
        with tempfile.TemporaryDirectory(prefix=".calibrant-", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            yield draft
            _on_disk(draft).replace(path)
    except OSError as error:
        raise cannot_write(path, error, "give a folder that is writable") from error


def _on_disk(draft: Path) -> Path:
    """A file that is there also after the power fails, so that its new name never stands for less."""
    with draft.open("rb+") as stream:
        os.fsync(stream.fileno())
    return draft


def _weights_of(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value


def _with_weights_in_memory(model: ir.Model) -> ir.Model:
    if not any(isinstance(tensor, ir.ExternalTensor) for tensor in _weights_of(model)):
        return model
    result = model.clone()
    for graph in result.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = in_memory(value.const_value)
    return result


def _require_known_opset(path: Path, proto: onnx.ModelProto) -> None:
    opset = max((entry.version for entry in proto.opset_import if entry.domain == ""), default=0)
    newest = onnx.defs.onnx_opset_version()
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"{path.name} has opset {opset}, older than {_OLDEST_OPSET}; "
            "export it again with opset 13 or newer"
        )
    if opset > newest:
        raise ModelError(
            f"{path.name} has opset {opset}, newer than the installed onnx knows ({newest}); "
            "upgrade onnx, or export it with a lower opset"
        )


def _normalised(proto: onnx.ModelProto, path: Path) -> ir.Model:
    model = ir.serde.deserialize_model(proto)
    ir.external_data.set_base_dir(model.graph, path.parent.resolve())
    if model.functions:
        InlinePass()(model)
    _require_readable_weights(model)
    constants = set(model.graph.initializers)
    kept = [value for value in model.graph.inputs if value.name not in constants]
    model.graph.inputs.clear()
    model.graph.inputs.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before 4, initializers had to be inputs
    name_nodes(model)
    infer_shapes(model)
    fold_weights(model)
    return model


def _require_readable_weights(model: ir.Model) -> None:
    """Raise ValueError where a tensor's data does not fill its shape, which ONNX's checker lets pass."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None and not isinstance(value.const_value, ir.ExternalTensor):
                value.const_value.numpy()
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR:
                attribute.as_tensor().numpy()


def _info_of(value: ir.Value) -> TensorInfo:
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape or ())
    return TensorInfo(name_of(value), shape, _dtype_name(value.dtype))


def _dtype_name(dtype: ir.DataType | None) -> str:
    try:
        return "unknown" if dtype is None else str(dtype.numpy().name)
    except TypeError:  # numpy has no such type
        return dtype.name.lower() if dtype is not None else "unknown"


def _tail_of(output: ir.Value) -> tuple[str, ...]:
    walked = walk_back(output, stops_at=is_compute)
    return tuple(dict.fromkeys(node.op_type for node in walked if not is_standard(node, "Constant")))


def _plane_input(signature: ModelSignature) -> TensorInfo | None:
    return next((info for info in signature.inputs if len(info.shape) == 4), None)


def _spatial_axes(shape: tuple[int | None, ...]) -> tuple[int, int]:
    channels_last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
    return (1, 2) if channels_last else (2, 3)
