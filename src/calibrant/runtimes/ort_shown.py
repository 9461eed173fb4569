"""Tensors of an optimized graph, shown where they lie: by an operator behind each, or as bound outputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from calibrant.core.errors import RuntimeFailedError
from calibrant.core.types import Feeds, FloatArray
from calibrant.runtimes.ort_files import StoredGraph, open_as_it_stands
from calibrant.runtimes.ort_graph import insert_behind
from calibrant.runtimes.ort_operators import DOMAIN, Show, Watch, library
from calibrant.runtimes.vendors import in_our_words

_ALIGNMENT = 16  # floats in a cache line

_Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


class ShownTensors(Protocol):
    """An open graph whose tensors are shown, each once a run; several threads may run it."""

    def run(self, feeds: Feeds, show: Show) -> None:
        """Run once; ``show`` is called by this thread. Raises what it raises, and what ONNX Runtime does."""
        ...

    def close(self) -> None:
        """Release the session's memory."""
        ...


def shown_tensors(graph: StoredGraph, names: Sequence[str]) -> ShownTensors:
    """Open a graph that has the tensors ``names`` as its outputs."""
    return WatchedTensors(graph, names) if library() else BoundTensors(graph, names)


class WatchedTensors:
    """Shows each tensor as soon as it is computed, in the processor's cache, in memory that is used again."""

    def __init__(self, graph: StoredGraph, names: Sequence[str]) -> None:
        self._local = threading.local()
        self._watches = [Watch(name, f"{name}_watched", self._show) for name in names]
        self._session = open_as_it_stands(graph.with_proto(_with_watches(graph.proto, self._watches)))
        self._inputs = [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Feeds, show: Show) -> None:
        """As ShownTensors; raises RuntimeFailedError with ONNX Runtime's words."""
        self._local.show, self._local.failure = show, None
        try:
            with in_our_words("ONNX Runtime failed while running the model"):
                self._session.run(None, {name: feeds[name] for name in self._inputs})
        except RuntimeFailedError:
            if self._local.failure is None:
                raise
        finally:
            failure = self._local.failure
            self._local.show = self._local.failure = None  # which may hold a sample's activations
        if failure is not None:
            raise failure

    def close(self) -> None:
        """As ShownTensors: now, not when the cycle of watches and what they call is found."""
        self._session, self._watches = None, []

    def _show(self, name: str, values: FloatArray) -> None:
        try:
            self._local.show(name, values)
        except BaseException as error:
            self._local.failure = error
            raise


def _with_watches(graph: onnx.ModelProto, watches: Sequence[Watch]) -> onnx.ModelProto:
    """A copy in which each watch stands right behind the node that makes its tensor, before all readers."""
    nodes = {watch.tensor: watch.node for watch in watches}
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    read = set()
    for node in watched.graph.node:
        for index, name in enumerate(node.input):
            if name in nodes:
                node.input[index] = nodes[name].output[0]
                read.add(name)
    insert_behind(watched, {name: [node] for name, node in nodes.items()})
    del watched.graph.output[:]
    ends = [node.output[0] for name, node in nodes.items() if name not in read]
    watched.graph.output.extend(onnx.ValueInfoProto(name=end) for end in ends)
    watched.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return watched


class BoundTensors:
    """Has the tensors put out into arrays of each thread's own, and shows them when all are there."""

    def __init__(self, graph: StoredGraph, names: Sequence[str]) -> None:
        self._session, self._names = open_as_it_stands(graph), tuple(names)
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._local = threading.local()

    def run(self, feeds: Feeds, show: Show) -> None:
        """As ShownTensors; the first run tells the shapes, which later ones must have too."""
        stored = self._bound(feeds) if self._shapes else self._first(feeds)
        for name in self._names:
            show(name, stored[name])

    def close(self) -> None:
        """As ShownTensors."""
        self._session, self._local = None, threading.local()

    def _first(self, feeds: Feeds) -> Mapping[str, FloatArray]:
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        inputs = {name: feeds[name] for name in self._inputs}
        stored = dict(zip(self._names, self._session.run(self._names, inputs, options), strict=True))
        self._shapes = {name: array.shape for name, array in {**inputs, **stored}.items()}
        return stored

    def _bound(self, feeds: Feeds) -> Mapping[str, FloatArray]:
        if not hasattr(self._local, "arena"):
            self._local.arena = _Arena(self._session, self._inputs, self._shapes)
        arena: _Arena = self._local.arena
        return arena.run(feeds)


class _Arena:
    """Inputs and bound outputs side by side in one array: nothing is copied or allocated in a run."""

    def __init__(self, session: ort.InferenceSession, inputs: Sequence[str], shapes: _Shapes) -> None:
        self._session, self._binding = session, session.io_binding()
        self._inputs, self._buffers = tuple(inputs), _side_by_side(shapes)
        for name, buffer in self._buffers.items():
            bind = self._binding.bind_input if name in inputs else self._binding.bind_output
            bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)

    def run(self, feeds: Feeds) -> Mapping[str, FloatArray]:
        for name in self._inputs:
            np.copyto(self._buffers[name], feeds[name])
        self._session.run_with_iobinding(self._binding)
        return self._buffers


def _side_by_side(shapes: _Shapes) -> dict[str, FloatArray]:
    """Arrays of these shapes, each starting at a cache line of one piece of memory."""
    sizes = [-(-int(np.prod(shape)) // _ALIGNMENT) * _ALIGNMENT for shape in shapes.values()]
    memory = np.empty(sum(sizes) + _ALIGNMENT, np.float32)
    start = -(memory.ctypes.data // memory.itemsize) % _ALIGNMENT
    buffers = {}
    for (name, shape), size in zip(shapes.items(), sizes, strict=True):
        buffers[name] = memory[start : start + int(np.prod(shape))].reshape(shape)
        start += size
    return buffers
