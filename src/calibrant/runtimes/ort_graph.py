"""ONNX Runtime's own optimized graph: written out, searched, pruned, and opened as it stands.

What is optimized here fits this machine's processor and this version of ONNX Runtime, and is never kept.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnxruntime as ort

from calibrant.core.processor import processor_flags, saturates_int8
from calibrant.core.reading import read_bytes
from calibrant.core.schemes import SCHEME_PROPERTY
from calibrant.core.scratch import ScratchFolder
from calibrant.runtimes import ort_operators

PROVIDERS = ["CPUExecutionProvider"]
CONVOLUTIONS = ("Conv", "ConvTranspose")
# A convolution takes the name of what it absorbed: its activation's, or an Add's and then its activation's.
_MOST_ABSORBED = 3


class CannotMatchError(Exception):
    """The optimized graph does not show what was looked for; the graph as written has to be run."""


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
    if not model.exists() or SCHEME_PROPERTY.encode() not in read_bytes(model):
        return None
    properties = onnx.load_model_from_string(read_bytes(model)).metadata_props
    return next((entry.value for entry in properties if entry.key == SCHEME_PROPERTY), None)


def read_onnx(path: Path) -> onnx.ModelProto:
    """An ONNX file with the weights that lie beside it. Raises OSError, and whatever onnx raises."""
    model = onnx.load_model_from_string(read_bytes(path))
    onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    return model


def open_fused(model: Path) -> ort.InferenceSession:
    """Open a Q/DQ file with its pairs fused into integer operators.

    Without VNNI weights become unsigned, and ONNX Runtime (1.32) fails where several nodes share one:
    then each gets its own.
    """
    options = session_options(fused=True)
    try:
        return ort.InferenceSession(str(model), options, PROVIDERS)
    except Exception:
        loaded = read_onnx(model)
        if not _give_each_its_own_weights(loaded):
            raise
        return ort.InferenceSession(loaded.SerializeToString(), options, PROVIDERS)


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


def open_as_it_stands(model: onnx.ModelProto) -> ort.InferenceSession:
    """Open a graph that is optimized already, and may have Calibrant's own operators."""
    options, library = session_options(optimize=False), ort_operators.library()
    if library is not None and ort_operators.DOMAIN in {opset.domain for opset in model.opset_import}:
        options.register_custom_ops_library(library)
    return ort.InferenceSession(model.SerializeToString(), options, PROVIDERS)


def optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph that ONNX Runtime would execute on this machine: fused, channels in blocks."""
    with ScratchFolder() as folder:
        options = session_options()
        options.optimized_model_filepath = str(folder / "optimized.onnx")
        ort.InferenceSession(model.SerializeToString(), options, PROVIDERS)
        return onnx.load_model_from_string(read_bytes(Path(options.optimized_model_filepath)))


def insert_behind(model: onnx.ModelProto, added: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Put nodes right behind the one that makes their tensor, while that is in the processor's cache."""
    nodes = [node for value in model.graph.input for node in added.get(value.name, ())]
    for node in model.graph.node:
        nodes.append(node)
        nodes += [behind for name in node.output for behind in added.get(name, ())]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def readers_of(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each tensor."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    return readers


class Twins:
    """Finds nodes and tensors of a source graph in its optimized graph, by ONNX Runtime's naming.

    These are guesses: whoever uses them compares values.
    """

    def __init__(self, source: onnx.ModelProto, fused: onnx.ModelProto) -> None:
        self._readers = readers_of(source)
        self._named: dict[str, onnx.NodeProto] = {n.name: n for n in fused.graph.node if n.name}
        self._available = {name for node in fused.graph.node for name in node.output}

    def tensor(self, name: str) -> str | None:
        """Where the optimized graph has a tensor's values: under its name, or in a blocked layout."""
        if name in self._available:
            return name
        maker = self._named.get(f"{name}_nchwc")
        if maker is not None:
            return str(maker.output[0])
        for reader in self._readers[name]:
            if reader.op_type in CONVOLUTIONS and reader.input[0] == name:
                twin = self.convolution(reader)
                if twin is not None:
                    return str(twin.input[0])
        return None

    def convolution(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """What does a convolution's work: a blocked node is called after the last output it absorbed."""
        output = node.output[0]
        for _ in range(_MOST_ABSORBED):
            twin = self._named.get(f"{output}_nchwc")
            if twin is not None:
                return twin
            if len(self._readers[output]) != 1:
                break
            output = self._readers[output][0].output[0]
        plain = self._named.get(node.name)
        return plain if plain is not None and "Conv" in plain.op_type else None

    def unchanged(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The same node, where the optimizer has left its type and the tensors it reads."""
        twin = self._named.get(node.name)
        same = twin is not None and (twin.op_type, [*twin.input]) == (node.op_type, [*node.input])
        return twin if same else None


def pruned(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """A copy that computes ``outputs`` and nothing else."""
    needed = set(outputs)
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    copy = onnx.ModelProto()
    copy.ir_version = model.ir_version
    copy.opset_import.extend(model.opset_import)
    copy.graph.name = model.graph.name
    copy.graph.node.extend(reversed(kept))
    copy.graph.initializer.extend(weight for weight in model.graph.initializer if weight.name in needed)
    copy.graph.input.extend(value for value in model.graph.input if value.name in needed)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return copy
