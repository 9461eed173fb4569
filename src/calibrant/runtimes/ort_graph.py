"""ONNX Runtime's optimized graph beside the one it was made from: searched, pruned, added to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import onnx

CONVOLUTIONS = ("Conv", "ConvTranspose")
# A convolution takes the name of what it absorbed: its activation's, or an Add's and then its activation's.
_MOST_ABSORBED = 3


class CannotMatchError(Exception):
    """The optimized graph does not show what was looked for; the graph as written has to be run."""


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
