"""Q/DQ models at nearly float speed, with the same numbers.

Pairs between operators keep ONNX Runtime from fusing them and from laying channels out in blocks. So the
weights are dequantized once, the float graph is optimized, and the pairs are put where their tensors lie
then: they work value by value, whatever the layout. A pair is one operator where that was compiled. The
outputs are verified on one sample, to the last bit.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibrant.core.reading import mentions
from calibrant.core.types import Feeds
from calibrant.runtimes.ort_files import StoredGraph, open_as_it_stands, read_graph, with_weights
from calibrant.runtimes.ort_graph import CONVOLUTIONS, CannotMatchError, Twins, insert_behind, pruned
from calibrant.runtimes.ort_operators import DOMAIN, library, quantize_dequantize, takes
from calibrant.runtimes.ort_verified import NodesOf, Verified, content_of

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True)
class _Pair:
    """QuantizeLinear and DequantizeLinear on an activation; parameters: names of scale and zero point."""

    tensor: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class _Weight:
    """A weight that is stored as integers, or as floats that are quantized on the way.

    tensors: what is stored, scales and zero points. dequantize, quantize: the nodes; quantize may be missing.
    """

    tensors: tuple[onnx.TensorProto, ...]
    dequantize: onnx.NodeProto
    quantize: onnx.NodeProto | None

    @property
    def name(self) -> str:
        """What the float graph calls it."""
        return str(self.dequantize.output[0])

    def values(self, graph: StoredGraph) -> NDArray[np.float32]:
        """As ONNX Runtime dequantizes it: (integer - zero point) * scale, in float32."""
        stored, scale, zero_point = map(graph.values, self.tensors)
        if self.quantize is not None:
            stored = _quantized(stored, *_along_axis(self.quantize, stored.ndim, scale, zero_point))
        scale, zero_point = _along_axis(self.dequantize, stored.ndim, scale, zero_point)
        steps = stored.astype(np.int32) - zero_point.astype(np.int32)
        result: NDArray[np.float32] = steps.astype(np.float32) * scale
        return result


@dataclass(frozen=True)
class _Parts:
    """A Q/DQ model taken apart: a float model, and for each reader's input the pair that stood before it.

    graph: the file's. float_model: the float model without the weights that have to be dequantized.
    """

    graph: StoredGraph
    float_model: onnx.ModelProto
    weights: tuple[_Weight, ...]
    pairs: Mapping[tuple[str, int], _Pair]
    constants: Mapping[str, onnx.TensorProto]

    @property
    def places(self) -> Hashable:
        """Where which kinds of pairs stand: all that models of one float graph differ in but numbers."""
        return frozenset((place, pair.tensor, self._kind(pair)) for place, pair in self.pairs.items())

    @property
    def key(self) -> bytes:
        """Of the float model with all its weights: the same for what makes the same model."""
        digest = hashlib.sha256(self.float_model.SerializeToString(deterministic=True))
        for weight in self.weights:
            for part in (*weight.tensors, weight.dequantize, weight.quantize):
                digest.update(b"" if part is None else part.SerializeToString(deterministic=True))
        for file in self.graph.weight_files:
            digest.update(content_of(file))
        return digest.digest()

    def float_graph(self) -> StoredGraph:
        """The float model with all its weights."""
        made = ((weight.name, partial(weight.values, self.graph)) for weight in self.weights)
        without = self.graph.with_proto(self.float_model)
        return with_weights(without, made, in_files=self.graph.names_weights)

    def _kind(self, pair: _Pair) -> int:
        return self.constants[pair.parameters[1]].data_type


class QdqFile:
    """A Q/DQ file that may be run faster than as it is written.

    Verified are, once for a float graph, the places where its pairs stand: candidates of a study have them in
    common, and their scales and zero points go through the same operators.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: tuple[_Parts, StoredGraph] | None = None  # and its float graph, optimized

    @property
    def may_be_faster(self) -> bool:
        """Whether :meth:`verified_session` has something to try, once :meth:`known_session` has looked."""
        return self._found is not None

    def known_session(self) -> ort.InferenceSession | None:
        """A session that surely computes what the file does, from what this process has verified before."""
        try:
            graph = _VERIFIED.graph_of(self.file)
            if graph is not None:
                return open_as_it_stands(graph)
            if not mentions(self.file, _DEQUANTIZE.encode()):
                return None
            parts = _taken_apart(read_graph(self.file))
            base = _VERIFIED.optimized(parts.key, parts.float_graph)
            self._found = parts, base
            nodes_of = _VERIFIED.in_places(base, parts.places)
            if nodes_of is None:
                return None
            session, graph = _opened(parts, base, nodes_of)
            _VERIFIED.keep(self.file, base, graph, parts.places, nodes_of)
            return session
        except Exception:
            return None  # whatever a graph or ONNX Runtime does not like, the plain session still is right

    def verified_session(self, feeds: Feeds, true: Feeds) -> ort.InferenceSession | None:
        """A session that computes what the file does, or None where only the plain one surely does.

        feeds, true: a sample, and the model's outputs on it. Asked once, after :meth:`known_session`.
        """
        if self._found is None:
            return None
        (parts, base), self._found = self._found, None
        for nodes_of in (_one_node, _two_nodes) if library() else (_two_nodes,):
            try:
                session, graph = _opened(parts, base, nodes_of)
                found = dict(zip(true, session.run([*true], dict(feeds)), strict=True))
            except Exception:  # noqa: S112
                continue  # as above
            if all(np.array_equal(found[name], true[name]) for name in true):
                _VERIFIED.keep(self.file, base, graph, parts.places, nodes_of)
                return session
        return None


def _opened(parts: _Parts, base: StoredGraph, nodes_of: NodesOf) -> tuple[ort.InferenceSession, StoredGraph]:
    graph = base.with_proto(_with_pairs(parts, base.proto, nodes_of))
    return open_as_it_stands(graph), graph


def _taken_apart(graph: StoredGraph) -> _Parts:
    """Raises CannotMatchError for pairs of other kinds than Calibrant writes."""
    model = graph.proto
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    outputs = [output.name for output in model.graph.output]
    pairs: dict[str, _Pair] = {}
    weights: list[_Weight] = []
    for node in (node for node in model.graph.node if node.op_type == _DEQUANTIZE):
        weight = _stored_weight(node, producers, constants)
        if weight is not None:
            weights.append(weight)
        else:
            pairs[node.output[0]] = _pair(node, producers.get(node.input[0]), constants)
    if not pairs.keys().isdisjoint(outputs):
        raise CannotMatchError("an output that is quantized")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(n for n in model.graph.node if n.op_type not in (_QUANTIZE, _DEQUANTIZE))
    readers = {}
    for node in copy.graph.node:
        for index, name in enumerate(node.input):
            if name in pairs:
                readers[node.name, index] = pairs[name]
                node.input[index] = pairs[name].tensor
    float_model = pruned(copy, outputs)
    read = {name for node in float_model.graph.node for name in node.input}.union(outputs)
    return _Parts(graph, float_model, tuple(w for w in weights if w.name in read), readers, constants)


def _stored_weight(
    node: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> _Weight | None:
    """The weight that a DequantizeLinear reads; None: it reads an activation."""
    name, quantize = node.input[0], None
    if name not in constants:
        quantize = producers.get(name)
        if quantize is None or quantize.op_type != _QUANTIZE or quantize.input[0] not in constants:
            return None
        name = quantize.input[0]
    return _Weight((constants[name], *(constants[each] for each in node.input[1:])), node, quantize)


def _quantized(weight: NDArray[Any], scale: NDArray[np.float32], zero_point: NDArray[Any]) -> NDArray[Any]:
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(weight / scale) + zero_point
    integers: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)
    return integers


def _along_axis(
    node: onnx.NodeProto, rank: int, scale: NDArray[np.float32], zero_point: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Scale and zero point in shapes that broadcast with a weight of this rank."""
    axes = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    shape = [1] * rank
    if scale.ndim == 1:
        shape[axes[0] if axes else 1] = scale.size
    return scale.reshape(shape), zero_point.reshape(shape)


def _pair(
    node: onnx.NodeProto, quantize: onnx.NodeProto | None, constants: Mapping[str, onnx.TensorProto]
) -> _Pair:
    parameters = tuple(node.input[1:])
    if (
        quantize is None
        or quantize.op_type != _QUANTIZE
        or tuple(quantize.input[1:]) != parameters
        or quantize.input[0] in constants
        or any(name not in constants or constants[name].dims for name in parameters)
    ):
        raise CannotMatchError(f"{node.name!r} is not half of a pair on an activation")
    return _Pair(quantize.input[0], parameters)


def _with_pairs(parts: _Parts, base: onnx.ModelProto, nodes_of: NodesOf) -> onnx.ModelProto:
    """The optimized float graph with each pair put behind the tensor that its readers' twins read."""
    fused = onnx.ModelProto()
    fused.CopyFrom(base)
    twins = Twins(parts.float_model, fused)
    nodes = {node.name: node for node in parts.float_model.graph.node}
    placed: dict[tuple[str, _Pair], list[onnx.NodeProto]] = {}
    readers = [(_reader(twins, nodes[name], i), i, pair) for (name, i), pair in parts.pairs.items()]
    for twin, index, pair in readers:
        key = (twin.input[index], pair)
        if key not in placed:
            constants = [parts.constants[name] for name in pair.parameters]
            placed[key] = nodes_of(twin.input[index], f"calibrant_pair_{len(placed)}", constants)
        twin.input[index] = placed[key][-1].output[0]
    read = {name for nodes in placed.values() for node in nodes for name in node.input}
    used = dict.fromkeys(name for _, pair in placed for name in pair.parameters if name in read)
    fused.graph.initializer.extend(parts.constants[name] for name in used)
    if any(node.domain == DOMAIN for nodes in placed.values() for node in nodes):
        fused.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    behind: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for (tensor, _), written in placed.items():
        behind[tensor] += written
    insert_behind(fused, behind)
    return fused


def _reader(twins: Twins, node: onnx.NodeProto, index: int) -> onnx.NodeProto:
    """The optimized graph's node that reads what ``node`` reads as its input ``index``."""
    is_data = node.op_type in CONVOLUTIONS and index == 0
    twin = twins.convolution(node) if is_data else twins.unchanged(node)
    if twin is None:
        raise CannotMatchError(f"{node.name!r} is not in the optimized graph")
    return twin


def _two_nodes(tensor: str, name: str, parameters: Sequence[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear, as the file has them."""
    stored, names = f"{name}_quantized", [constant.name for constant in parameters]
    return [
        helper.make_node(_QUANTIZE, [tensor, *names], [stored], f"{name}_{_QUANTIZE}"),
        helper.make_node(_DEQUANTIZE, [stored, *names], [name], f"{name}_{_DEQUANTIZE}"),
    ]


def _one_node(tensor: str, name: str, parameters: Sequence[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The compiled operator. Raises CannotMatchError for integers that it does not have."""
    scale, zero_point = map(numpy_helper.to_array, parameters)
    if not takes(zero_point):
        raise CannotMatchError(f"pairs of {zero_point.dtype}")
    return [quantize_dequantize(tensor, name, scale, zero_point)]


_VERIFIED = Verified()
