"""What ONNX Runtime reads and writes: models, its own optimized graphs, and the sessions on them.

Large weights stay in files, which ONNX Runtime maps into memory; a graph that is edited only names them.
What is optimized here fits this machine's processor and this version of ONNX Runtime, and is never kept.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BufferedWriter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.processor import processor_flags, saturates_int8
from calibrant.core.reading import mentions, read_bytes
from calibrant.core.schemes import SCHEME_PROPERTY
from calibrant.core.scratch import ScratchFolder
from calibrant.runtimes import ort_operators
from calibrant.runtimes.ort_graph import readers_of

PROVIDERS = ["CPUExecutionProvider"]
# Bytes from which on a weight lies in a file, once any does.
_LARGE = 64 * 2**10
_OPTIMIZED, _WEIGHTS = "optimized.onnx", "weights.data"
# What may be mapped into memory begins at a page.
_ALIGNMENT = 4096


@dataclass(frozen=True)
class StoredGraph:
    """A graph, and the folder where its large weights lie.

    proto: large weights may be external. folder: of their files. held: keeps a folder that is there for this
    graph alone.
    """

    proto: onnx.ModelProto
    folder: Path
    held: ScratchFolder | None = None

    @property
    def names_weights(self) -> bool:
        """Whether weights lie in files."""
        return any(map(_is_external, self.proto.graph.initializer))

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """The files of its weights, sorted."""
        locations = {
            entry.value
            for tensor in self.proto.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        return tuple(self.folder / name for name in sorted(locations))

    def with_proto(self, proto: onnx.ModelProto) -> StoredGraph:
        """Another graph of the same weights."""
        return replace(self, proto=proto)

    def values(self, tensor: TensorProto) -> NDArray[Any]:
        """A weight of this graph, wherever it lies."""
        return numpy_helper.to_array(tensor, base_dir=str(self.folder))


def session_options(*, optimize: bool = True, fused: bool = False) -> ort.SessionOptions:
    """One thread a run, and Q/DQ exactly as written, or ``fused`` into integer operators.

    Fusing some pairs of another target's model would add roundings that the target does not make.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and need not be printed as well
    options.intra_op_num_threads = 1
    if not fused:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    elif saturates_int8(processor_flags(), platform.machine()):
        # Weights become uint8, whose products do not saturate; with VNNI that would cost time for nothing.
        options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def scheme_of(model: Path) -> str | None:
    """The scheme that a Q/DQ file of Calibrant's names in its metadata; None for any other file."""
    if not model.exists() or not mentions(model, SCHEME_PROPERTY.encode()):
        return None
    properties = onnx.load_model_from_string(read_bytes(model)).metadata_props
    return next((entry.value for entry in properties if entry.key == SCHEME_PROPERTY), None)


def read_graph(path: Path) -> StoredGraph:
    """An ONNX file; the weights that lie beside it stay there. Raises OSError, and whatever onnx raises."""
    return StoredGraph(onnx.load_model_from_string(read_bytes(path)), path.parent)


def open_fused(model: Path) -> ort.InferenceSession:
    """Open a Q/DQ file with its pairs fused into integer operators.

    Without VNNI weights become unsigned, and ONNX Runtime (1.32) fails where several nodes share one:
    then each gets its own.
    """
    options = session_options(fused=True)
    try:
        return ort.InferenceSession(str(model), options, PROVIDERS)
    except Exception:
        stored = read_graph(model)
        if not _give_each_its_own_weights(stored.proto):
            raise
        return _session(stored, options)


def _give_each_its_own_weights(model: onnx.ModelProto) -> bool:
    """Copy stored integers, and what dequantizes them, so that each has one reader; whether any was."""
    readers = readers_of(model)
    own = _OwnInitializers(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "DequantizeLinear" or not own.has(node.input[0]):
            continue
        own.take(node)
        for number, reader in enumerate(readers[node.output[0]][1:], start=1):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name, copy.output[0] = f"{node.name}_{number}", f"{node.output[0]}_{number}"
            own.take(copy)
            reader.input[list(reader.input).index(node.output[0])] = copy.output[0]
            nodes.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return own.copies > 0


class _OwnInitializers:
    """Gives each node weights and zero points that no other node reads."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._known = {tensor.name: tensor for tensor in model.graph.initializer}
        self._taken: set[str] = set()
        self.copies = 0

    def has(self, name: str) -> bool:
        """Whether a tensor is stored in the graph."""
        return name in self._known

    def take(self, node: onnx.NodeProto) -> None:
        """Have a node read its own; what another node took before is copied."""
        for position in range(0, len(node.input), 2):  # the scale between them stays as it is
            name = node.input[position]
            if name in self._taken:
                self.copies += 1
                copy = self._model.graph.initializer.add()
                copy.CopyFrom(self._known[name])
                copy.name = node.input[position] = f"{name}_own{self.copies}"
            elif self.has(name):
                self._taken.add(name)


def open_as_it_stands(graph: StoredGraph) -> ort.InferenceSession:
    """Open a graph that is optimized already, and may have Calibrant's own operators."""
    options, library = session_options(optimize=False), ort_operators.library()
    if library is not None and ort_operators.DOMAIN in {opset.domain for opset in graph.proto.opset_import}:
        options.register_custom_ops_library(library)
    return _session(graph, options)


def optimized(graph: StoredGraph) -> StoredGraph:
    """The graph that ONNX Runtime would execute on this machine: fused, channels in blocks."""
    held, options = ScratchFolder(), session_options()
    options.optimized_model_filepath = str(held.path / _OPTIMIZED)
    is_large = graph.names_weights
    if is_large:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", str(_LARGE)
        )
    _session(graph, options)
    found = StoredGraph(onnx.load_model_from_string(read_bytes(held.path / _OPTIMIZED)), held.path, held)
    if not is_large:
        held.close()
    return found


def with_weights(
    graph: StoredGraph, made: Iterable[tuple[str, Callable[[], NDArray[Any]]]], *, in_files: bool
) -> StoredGraph:
    """The graph with more weights: names, and what makes the values, one after the other.

    in_files: large ones lie in a file, not in the graph.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    if not in_files:
        proto.graph.initializer.extend(numpy_helper.from_array(make(), name) for name, make in made)
        return graph.with_proto(proto)
    held = ScratchFolder()
    old = list(proto.graph.initializer)
    del proto.graph.initializer[:]
    with (held.path / _WEIGHTS).open("wb") as file:
        for tensor in old:
            moved = _written(file, tensor.name, graph.values(tensor)) if _is_external(tensor) else tensor
            proto.graph.initializer.append(moved)
        proto.graph.initializer.extend(_written(file, name, make()) for name, make in made)
    return StoredGraph(proto, held.path, held)


def _written(file: BufferedWriter, name: str, values: NDArray[Any]) -> TensorProto:
    """A weight, in the file where it is large."""
    if values.nbytes < _LARGE:
        return numpy_helper.from_array(values, name)
    file.write(bytes(-file.tell() % _ALIGNMENT))
    tensor = TensorProto(
        name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
        data_location=TensorProto.EXTERNAL,
    )  # fmt: skip
    for key, value in (("location", _WEIGHTS), ("offset", file.tell()), ("length", values.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    file.write(values.tobytes())
    return tensor


def _session(graph: StoredGraph, options: ort.SessionOptions) -> ort.InferenceSession:
    if graph.names_weights:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(graph.folder)
        )
    return ort.InferenceSession(graph.proto.SerializeToString(), options, PROVIDERS)


def _is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL
