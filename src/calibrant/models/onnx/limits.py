"""How much a model may ask for, found out by counting before anything is expanded, read or hashed.

Functions that call functions twice each double with every level when they are written out, and a sparse file
may claim any size: both are a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from calibrant.core.errors import ModelError
from calibrant.core.limits import limit_from
from calibrant.core.machine import memory_limit

MOST_NODES = 50_000
"""A detector has hundreds to a few thousand; a hundred thousand take half a minute and a gigabyte."""

MOST_INITIALIZERS = 100_000
"""Each node of a detector has two or three; a million take two minutes."""

NODE_LIMIT = "CALIBRANT_MAX_NODES"
INITIALIZER_LIMIT = "CALIBRANT_MAX_INITIALIZERS"
_GB = 10**9


def require_few_nodes(path: Path, proto: onnx.ModelProto) -> None:
    """Refuse a graph with too many initializers, or nodes: also those of subgraphs and of inlined functions.

    Raises ModelError, and SettingsError where the environment's own limit is no number.
    """
    constants, allowed = len(proto.graph.initializer), limit_from(INITIALIZER_LIMIT, MOST_INITIALIZERS)
    if constants > allowed:
        raise ModelError(
            f"{path.name} has {constants} initializers, more than {allowed}; simplify it, e.g. with onnxsim, "
            f"or set {INITIALIZER_LIMIT}"
        )
    most = limit_from(NODE_LIMIT, MOST_NODES)
    try:
        count = _Counter(proto, most).of(proto.graph.node)
    except RecursionError as error:
        raise ModelError(f"{path.name} nests functions too deeply; inline them and export again") from error
    if count > most:
        raise ModelError(
            f"{path.name} has more than {most} nodes when its functions are written out; "
            f"simplify it, e.g. with onnxsim, or set {NODE_LIMIT}"
        )


def require_weights_that_fit(path: Path, files: Mapping[Path, int]) -> None:
    """Refuse external data that no memory here can take. files: bytes that are needed of each.

    Raises ModelError.
    """
    limit, needed = memory_limit(), sum(files.values())
    if limit is not None and needed > limit:
        largest = max(files, key=lambda file: files[file])
        raise ModelError(
            f"{path.name} has {needed / _GB:.1f} GB of weights, e.g. in {largest.name!r}, and this machine "
            f"allows {limit / _GB:.1f} GB; use a machine with more memory, or export the model again"
        )


class _Counter:
    """Counts nodes, each function once; beyond ``most`` the count is only known to be too high."""

    def __init__(self, proto: onnx.ModelProto, most: int) -> None:
        self._functions = {(function.domain, function.name): function.node for function in proto.functions}
        self._most = most
        self._known: dict[tuple[str, str], int] = {}

    def of(self, nodes: Iterable[onnx.NodeProto]) -> int:
        """How many nodes these are when every function is written out."""
        count = 0
        for node in nodes:
            count += self._of_node(node)
            if count > self._most:
                break
        return count

    def _of_node(self, node: onnx.NodeProto) -> int:
        graphs = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
        return self._of_function((node.domain, node.op_type)) + sum(self.of(graph.node) for graph in graphs)

    def _of_function(self, name: tuple[str, str]) -> int:
        if name not in self._functions:
            return 1
        if name not in self._known:
            self._known[name] = 1  # a function that calls itself is for ONNX's checker to refuse
            self._known[name] = self.of(self._functions[name])
        return self._known[name]
