"""What this process knows of Q/DQ models that it has run: candidates of a study differ in scales alone."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeAlias

import onnx

from calibrant.core.reading import sha256_of
from calibrant.runtimes.ort_files import StoredGraph, optimized

# How a pair on a tensor is written: the tensor, what comes of it, and its scale and zero point.
NodesOf: TypeAlias = Callable[[str, str, Sequence[onnx.TensorProto]], list[onnx.NodeProto]]

# More than the candidates of a study.
_MOST_KEPT = 32

_Identity: TypeAlias = tuple[str, int, int, int]


class Verified:
    """The last optimized float graph, and what was verified of the Q/DQ models that have it.

    Of a model's graph all is kept but the weights that it shares with the float graph.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key, self._base = b"", StoredGraph(onnx.ModelProto(), Path())
        self._places: dict[Hashable, NodesOf] = {}
        self._graphs: dict[_Identity, onnx.ModelProto] = {}

    def optimized(self, key: bytes, float_graph: Callable[[], StoredGraph]) -> StoredGraph:
        """The float graph as ONNX Runtime optimizes it; it becomes the last one.

        key: of the graph with its weights. float_graph: makes it.
        """
        with self._lock:
            if key != self._key:
                self._base = optimized(float_graph())
                self._key = key
                self._places.clear()
                self._graphs.clear()
            return self._base

    def keep(
        self, file: Path, base: StoredGraph, graph: StoredGraph, places: Hashable, nodes_of: NodesOf
    ) -> None:
        """Remember that ``graph``, with pairs so written in these places, computes what the file does."""
        with self._lock:
            if base is not self._base:  # another thread's model has come since
                return
            self._places[places] = nodes_of
            shared = {tensor.name for tensor in base.proto.graph.initializer}
            own = [tensor for tensor in graph.proto.graph.initializer if tensor.name not in shared]
            lean = onnx.ModelProto()
            lean.CopyFrom(graph.proto)
            del lean.graph.initializer[:]
            lean.graph.initializer.extend(own)
            self._graphs[_identity(file)] = lean
            while len(self._graphs) > _MOST_KEPT:
                self._graphs.pop(next(iter(self._graphs)))

    def in_places(self, base: StoredGraph, places: Hashable) -> NodesOf | None:
        """How pairs in these places of ``base`` were written when they were verified; None: they were not."""
        with self._lock:
            return self._places.get(places) if base is self._base else None

    def graph_of(self, file: Path) -> StoredGraph | None:
        """The graph that was kept of a file; None where there is none, or the file is another by now."""
        with self._lock:
            lean = self._graphs.get(_identity(file)) if file.exists() else None
            if lean is None:
                return None
            graph = onnx.ModelProto()
            graph.CopyFrom(lean)
            graph.graph.initializer.extend(self._base.proto.graph.initializer)
            return self._base.with_proto(graph)


def content_of(file: Path) -> bytes:
    """The SHA-256 of a file's content, read once for as long as it stays what it is. Raises OSError."""
    return _content(_identity(file))


@functools.lru_cache(maxsize=_MOST_KEPT)
def _content(identity: _Identity) -> bytes:
    return bytes.fromhex(sha256_of(Path(identity[0])))


def _identity(file: Path) -> _Identity:
    """A file as it is now: one that is written anew has another."""
    found = file.stat()
    return str(file.resolve()), found.st_ino, found.st_size, found.st_mtime_ns
