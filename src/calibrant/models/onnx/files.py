"""What must hold of a file before its graph is looked at: it is there, it is ONNX, and so are its parts.

Files come from anywhere, so nothing in them is trusted: external data is read from the model's folder only.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx.external_data_helper import load_external_data_for_tensor

from calibrant.core.errors import ModelError
from calibrant.core.reading import LARGEST_HASHED, is_regular, opened, read_bytes
from calibrant.models.onnx.limits import require_few_nodes, require_weights_that_fit

EXPORT = "yolo export model={name} format=onnx"
_FOREIGN_FORMATS = {
    ".pt": f"a PyTorch checkpoint; export it first: {EXPORT}, or torch.onnx.export",
    ".pth": f"a PyTorch checkpoint; export it first: {EXPORT}, or torch.onnx.export",
    ".engine": "a TensorRT engine, which cannot be read back; give the ONNX file it was built from",
    ".plan": "a TensorRT engine, which cannot be read back; give the ONNX file it was built from",
    ".trt": "a TensorRT engine, which cannot be read back; give the ONNX file it was built from",
    ".tflite": "a TensorFlow Lite model; give the float ONNX model it was converted from",
    ".pb": "a TensorFlow model; convert it first, e.g. with tf2onnx",
    ".h5": "a Keras model; convert it first, e.g. with tf2onnx",
    ".keras": "a Keras model; convert it first, e.g. with tf2onnx",
    ".xml": "an OpenVINO model; give the ONNX model it was converted from",
    ".bin": "weights without a graph; give the ONNX file that belongs to it",
    ".ort": "an ONNX Runtime format model; give the ONNX file it was converted from",
    ".safetensors": "weights without a graph; export the model to ONNX first",
}
_FOREIGN_STARTS = {
    b"PK\x03\x04": "a zip archive (a PyTorch checkpoint is one); export it first: torch.onnx.export",
    b"version https://git-lfs": "a Git LFS pointer, not the model itself; run git lfs pull",
    b"<": "a text file (a web page saved in its place?); download it again",
}
_LARGEST_PROTOBUF = 2**31 - 1
_CHUNK = 1 << 20


def read_proto(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file, leaving external data where it lies.

    Raises ModelError where there is no such file, it is not ONNX, damaged, or holds no graph or a huge one.
    """
    _require_onnx_file(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(read_bytes(path))
    except Exception as error:  # protobuf promises no exception types for bytes that are not its own
        raise ModelError(
            f"{path.name} is not a readable ONNX file: truncated, damaged or another format; "
            "copy or export it again"
        ) from error
    if not proto.graph.node:
        raise ModelError(f"{path.name} holds no graph: it has no nodes; export the model again")
    require_few_nodes(path, proto)
    return proto


def external_files(path: Path, proto: onnx.ModelProto) -> tuple[Path, ...]:
    """The files that hold a model's external data, sorted by name.

    Raises ModelError where one is missing, too short, larger than memory, or not in the model's folder.
    """
    needed: dict[Path, int] = {}
    for tensor in _tensors_of(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            file, end = _extent_of(path, tensor)
            needed[file] = max(end, needed.get(file, 0))
    for file, size in needed.items():
        if not is_regular(file):
            raise ModelError(
                f"{path.name} keeps weights in {file.name!r}, which is missing; put it beside the model"
            )
        if file.stat().st_size < size:
            raise ModelError(
                f"{file.name!r}, which holds weights of {path.name}, is truncated: {file.stat().st_size} of "
                f"at least {size} bytes; copy it again"
            )
    require_weights_that_fit(path, needed)
    return tuple(sorted(needed))


def read_inner_data(path: Path, proto: onnx.ModelProto) -> None:
    """Read external data into ``proto``: only the graph's own initializers may stay outside.

    To be called once :func:`external_files` has looked at where it lies.
    """
    own = list(proto.graph.initializer)  # kept, so that no other object takes an id
    known = {id(tensor) for tensor in own}
    for tensor in _tensors_of(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL and id(tensor) not in known:
            load_external_data_for_tensor(tensor, str(path.parent.resolve()))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def sha256_of(files: tuple[Path, ...]) -> str:
    """SHA-256 over the bytes of the files, one after the other, in hex."""
    digest = hashlib.sha256()
    for file in files:
        with opened(file, LARGEST_HASHED) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _require_onnx_file(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"no such file: {str(path)!r}; give the path of an ONNX model")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise ModelError(f"{str(path)!r} is {kind}; give the path of an ONNX model")
    foreign = _FOREIGN_FORMATS.get(path.suffix.lower()) or _foreign_start(path)
    if foreign:
        raise ModelError(f"{path.name} is {foreign.format(name=shlex.quote(path.name))}")
    if path.stat().st_size == 0:
        raise ModelError(f"{path.name} is empty (0 bytes); copy or export it again")
    if path.stat().st_size > _LARGEST_PROTOBUF:
        raise ModelError(f"{path.name} is larger than 2 GB in one file; save it with external data")


def _foreign_start(path: Path) -> str | None:
    try:
        with opened(path) as stream:
            start = stream.read(64)
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error.strerror}; check its permissions") from error
    return next((what for magic, what in _FOREIGN_STARTS.items() if start.startswith(magic)), None)


def _extent_of(path: Path, tensor: onnx.TensorProto) -> tuple[Path, int]:
    """The file that holds a tensor, and the byte after its last one."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder):
        raise ModelError(
            f"{path.name} keeps weights outside its own folder, e.g. {tensor.name!r} in {location!r}; "
            "put that file itself beside the model"
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        size = math.ceil(math.prod(tensor.dims) * ir.DataType(tensor.data_type).itemsize)
    except (ValueError, TypeError) as error:
        raise _unplaced(path, tensor.name) from error
    if min(offset, length, *tensor.dims) < 0 or 0 < length < size:
        raise _unplaced(path, tensor.name)
    return file, offset + max(length, size)


def _unplaced(path: Path, tensor: str) -> ModelError:
    return ModelError(f"{path.name} does not say properly where its weight {tensor!r} lies; export it again")


def _tensors_of(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _tensors_of_graph(proto.graph)
    for function in proto.functions:
        for node in function.node:
            yield from _tensors_of_node(node)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _tensors_of_node(node)


def _tensors_of_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of_graph(graph)
