"""Seeing activations without losing ONNX Runtime's fusions and blocked layout.

A tensor that is made an output costs a copy, a fusion and a change of layout. Here the tensors are found in
the graph that ONNX Runtime has optimized, bound where they lie, and what nobody looks at is pruned. Where
each lies is verified on one sample, to the last bit, against the plain probe.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime as ort

from calibrant.core.types import Feeds, FloatArray, Observer
from calibrant.runtimes.ort_graph import (
    CannotMatchError,
    Twins,
    open_as_it_stands,
    optimized,
    pruned,
    readers_of,
)

# Channels that lie side by side: 8 with AVX2, 16 with AVX-512; 4 and 32 in case others come.
BLOCK_SIZES = (8, 16, 4, 32)
# Tensors that the optimizer hides are kept by making them outputs, which undoes fusions: a few at most.
MOST_KEPT = 1 / 8
_ALIGNMENT = 16  # floats in a cache line

_Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Place:
    """Where the optimized graph has a tensor, and how.

    shape: as ONNX Runtime declares it, NCHW with channels padded to whole blocks. channels: true ones.
    block: how many channels lie side by side, stored (N, C/block, H, W, block); 1: as ONNX has it.
    """

    internal: str
    shape: tuple[int, ...]
    channels: int
    block: int

    def parts(self, stored: FloatArray) -> tuple[FloatArray, ...]:
        """Views whose values together are the tensor's: none of the padding lanes is among them."""
        if self.block == 1 or self.shape[1] == self.channels:
            return (stored,)
        whole, rest = divmod(self.channels, self.block)
        images = stored.reshape(self.shape[0], self.shape[1] // self.block, -1, self.block)
        views = (view for blocks in images for view in (blocks[:whole], blocks[whole, :, :rest]))
        return tuple(view for view in views if view.size)


def fused_probe(model: Path, tensors: Sequence[str], feeds: Feeds, true: Feeds) -> FusedProbe | None:
    """A probe for ``tensors`` of a model that has them among its outputs.

    feeds, true: a sample, and the tensors' values on it. None where only the plain probe is right.
    """
    try:
        return _matched(onnx.load(model), tensors, feeds, true)
    except Exception:
        return None  # whatever a graph or ONNX Runtime does not like, the plain probe still is right


def place_of(tensor: str, internal: str, stored: FloatArray, true: FloatArray) -> Place | None:
    """How ``stored`` holds ``true``, or None when it does not or might by chance."""
    channels = true.shape[1] if true.ndim > 1 else 1
    if stored.dtype != np.float32 or (internal != tensor and true.size > 1 and true.min() == true.max()):
        return None
    if np.array_equal(stored, true):
        return Place(internal, stored.shape, channels, 1)
    if true.ndim != 4 or stored.ndim != 4 or stored.shape[2:] != true.shape[2:]:
        return None
    fitting = [block for block in BLOCK_SIZES if _holds(stored, true, block)]
    # Several fit where padding cannot be told from channels; for one pixel they are the same.
    is_padded, pixels = stored.shape[1] != channels, stored.shape[2] * stored.shape[3]
    if not fitting or (len(fitting) > 1 and is_padded and pixels > 1):
        return None
    return Place(internal, stored.shape, channels, fitting[0])


def _holds(stored: FloatArray, true: FloatArray, block: int) -> bool:
    images, channels, height, width = true.shape
    padded = -(-channels // block) * block
    if stored.shape != (images, padded, height, width):
        return False
    blocks = stored.reshape(images, padded // block, height, width, block).transpose(0, 1, 4, 2, 3)
    return np.array_equal(blocks.reshape(stored.shape)[:, :channels], true)


def _matched(model: onnx.ModelProto, tensors: Sequence[str], feeds: Feeds, true: Feeds) -> FusedProbe:
    """Raises CannotMatchError when a tensor cannot be had."""
    if any(array.dtype != np.float32 for array in feeds.values()):
        raise CannotMatchError("inputs that are not float32")
    wanted = [tensor for tensor in dict.fromkeys(tensors) if tensor not in feeds]
    readers = readers_of(model)
    ends = [output.name for output in model.graph.output if output.name not in readers]
    kept: list[str] = []
    for _ in range(2):
        source = pruned(model, [*ends, *kept])
        session, places = _placed(source, optimized(source), wanted, feeds, true)
        kept = [tensor for tensor in wanted if tensor not in places]
        if not kept:
            return FusedProbe(session, tensors, places, {name: array.shape for name, array in feeds.items()})
        if len(kept) > MOST_KEPT * len(wanted):
            break
    raise CannotMatchError(f"{len(kept)} tensors, e.g. {kept[0]!r}")


def _placed(
    source: onnx.ModelProto, fused: onnx.ModelProto, wanted: Sequence[str], feeds: Feeds, true: Feeds
) -> tuple[ort.InferenceSession, dict[str, Place]]:
    """A session that computes the tensors' likely places, and those that hold what they should."""
    twins = Twins(source, fused)
    guesses = {tensor: place for tensor in wanted if (place := twins.tensor(tensor)) is not None}
    names = list(dict.fromkeys(guesses.values()))
    session = open_as_it_stands(pruned(fused, names))
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    inputs = {value.name: feeds[value.name] for value in session.get_inputs()}
    stored = dict(zip(names, session.run(names, inputs, options), strict=True))
    found = {name: place_of(name, guess, stored[guess], true[name]) for name, guess in guesses.items()}
    return session, {tensor: place for tensor, place in found.items() if place is not None}


class FusedProbe:
    """Runs the optimized graph and shows tensors where they lie; each thread has an arena of its own."""

    def __init__(
        self, session: ort.InferenceSession, tensors: Sequence[str], places: Mapping[str, Place], fed: _Shapes
    ) -> None:
        self._session, self._tensors, self._places, self._fed = session, tuple(tensors), places, fed
        self._local = threading.local()

    def takes(self, feeds: Feeds) -> bool:
        """Whether the inputs are of the kind that places were found for."""
        shapes = {name: array.shape for name, array in feeds.items() if array.dtype == np.float32}
        return shapes == self._fed

    def run(self, feeds: Feeds) -> None:
        """Compute the tensors of one sample, for this thread."""
        if not hasattr(self._local, "arena"):
            self._local.arena = _Arena(self._session, self._places, self._fed)
        self._local.arena.run(feeds)

    def show(self, feeds: Feeds, observe: Observer) -> None:
        """Hand over what this thread has run last, in the order of the tensors."""
        for tensor in self._tensors:
            parts = (feeds[tensor],) if tensor in feeds else self._local.arena.parts[tensor]
            observe(tensor, *map(np.ascontiguousarray, parts))


class _Arena:
    """Inputs and bound outputs side by side in one array: nothing is copied or allocated in a run."""

    def __init__(self, session: ort.InferenceSession, places: Mapping[str, Place], fed: _Shapes) -> None:
        self._session, self._binding = session, session.io_binding()
        inputs = {value.name: fed[value.name] for value in session.get_inputs()}
        buffers = _side_by_side({**inputs, **{place.internal: place.shape for place in places.values()}})
        self._inputs = {name: buffers[name] for name in inputs}
        for name, buffer in buffers.items():
            bind = self._binding.bind_input if name in inputs else self._binding.bind_output
            bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self.parts = {tensor: place.parts(buffers[place.internal]) for tensor, place in places.items()}

    def run(self, feeds: Feeds) -> None:
        for name, buffer in self._inputs.items():
            np.copyto(buffer, feeds[name])
        self._session.run_with_iobinding(self._binding)


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
