"""Q/DQ models at nearly float speed, with the same numbers.

Pairs between operators keep ONNX Runtime from fusing them and from laying channels out in blocks. So the
weights are dequantized once, the float graph is optimized, and the pairs are put where their tensors lie
then: they work value by value, whatever the layout. A pair is one operator where that was compiled. The
outputs are verified on one sample, to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibrant.core.reading import read_bytes
from calibrant.core.types import Feeds
from calibrant.runtimes.ort_graph import (
    CONVOLUTIONS,
    CannotMatchError,
    Twins,
    insert_behind,
    open_as_it_stands,
    pruned,
    read_onnx,
)
from calibrant.runtimes.ort_operators import DOMAIN, library, quantize_dequantize, takes
from calibrant.runtimes.ort_verified import NodesOf, Verified

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True)
class _Pair:
    """QuantizeLinear and DequantizeLinear on an activation; parameters: names of scale and zero point."""

    tensor: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class _Parts:
    """A Q/DQ model taken apart: a float model, and for each reader's input the pair that stood before it."""

    float_model: onnx.ModelProto
    pairs: Mapping[tuple[str, int], _Pair]
    constants: Mapping[str, onnx.TensorProto]

    @property
    def places(self) -> Hashable:
        """Where which kinds of pairs stand: all that models of one float graph differ in but numbers."""
        return frozenset((place, pair.tensor, self._kind(pair)) for place, pair in self.pairs.items())

    def _kind(self, pair: _Pair) -> int:
        return self.constants[pair.parameters[1]].data_type


class QdqFile:
    """A Q/DQ file that may be run faster than as it is written.

    Verified are, once for a float graph, the places where its pairs stand: candidates of a study have them in
    common, and their scales and zero points go through the same operators.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: tuple[_Parts, onnx.ModelProto] | None = None  # and its float graph, optimized

    def known_session(self) -> ort.InferenceSession | None:
        """A session that surely computes what the file does, from what this process has verified before."""
        try:
            graph = _VERIFIED.graph_of(self._file)
            if graph is not None:
                return open_as_it_stands(graph)
            if _DEQUANTIZE.encode() not in read_bytes(self._file):
                return None
            parts = _taken_apart(read_onnx(self._file))
            base = _VERIFIED.optimized(parts.float_model)
            self._found = parts, base
            nodes_of = _VERIFIED.in_places(base, parts.places)
            if nodes_of is None:
                return None
            session, graph = _opened(parts, base, nodes_of)
            _VERIFIED.keep(self._file, base, graph, parts.places, nodes_of)
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
                _VERIFIED.keep(self._file, base, graph, parts.places, nodes_of)
                return session
        return None


def _opened(
    parts: _Parts, base: onnx.ModelProto, nodes_of: NodesOf
) -> tuple[ort.InferenceSession, onnx.ModelProto]:
    graph = _with_pairs(parts, base, nodes_of)
    return open_as_it_stands(graph), graph


def no_faster(feeds: Feeds, true: Feeds) -> None:
    """No other session than the plain one."""


def _taken_apart(model: onnx.ModelProto) -> _Parts:
    """Raises CannotMatchError for pairs of other kinds than Calibrant writes."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    outputs = [output.name for output in model.graph.output]
    pairs: dict[str, _Pair] = {}
    weights: list[onnx.TensorProto] = []
    for node in (node for node in model.graph.node if node.op_type == _DEQUANTIZE):
        integers = _stored_integers(node.input[0], producers, constants)
        if integers is not None:
            weight = _dequantized(integers, node, constants)
            weights.append(numpy_helper.from_array(weight, node.output[0]))
        else:
            pairs[node.output[0]] = _pair(node, producers.get(node.input[0]), constants)
    if not pairs.keys().isdisjoint(outputs):
        raise CannotMatchError("an output that is quantized")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.initializer.extend(weights)
    del copy.graph.node[:]
    copy.graph.node.extend(n for n in model.graph.node if n.op_type not in (_QUANTIZE, _DEQUANTIZE))
    readers = {}
    for node in copy.graph.node:
        for index, name in enumerate(node.input):
            if name in pairs:
                readers[node.name, index] = pairs[name]
                node.input[index] = pairs[name].tensor
    return _Parts(pruned(copy, outputs), readers, constants)


def _stored_integers(
    name: str, producers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> NDArray[Any] | None:
    """A weight's integers: stored as such, or as floats that are quantized on the way. None: no weight."""
    if name in constants:
        return numpy_helper.to_array(constants[name])
    producer = producers.get(name)
    if producer is None or producer.op_type != _QUANTIZE or producer.input[0] not in constants:
        return None
    weight = numpy_helper.to_array(constants[producer.input[0]])
    scale, zero_point = _along_axis(producer, weight.ndim, constants)
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(weight / scale) + zero_point
    integers: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)
    return integers


def _dequantized(
    integers: NDArray[Any], node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]
) -> NDArray[np.float32]:
    """A weight as ONNX Runtime dequantizes it: (integer - zero point) * scale, in float32."""
    scale, zero_point = _along_axis(node, integers.ndim, constants)
    steps = integers.astype(np.int32) - zero_point.astype(np.int32)
    result: NDArray[np.float32] = steps.astype(np.float32) * scale
    return result


def _along_axis(
    node: onnx.NodeProto, rank: int, constants: Mapping[str, onnx.TensorProto]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Scale and zero point in shapes that broadcast with a weight of this rank."""
    scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
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
