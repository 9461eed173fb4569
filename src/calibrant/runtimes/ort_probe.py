"""Seeing activations without losing ONNX Runtime's fusions and blocked layout.

A tensor that is made an output costs a copy, a fusion and a change of layout. Here the tensors are found in
the graph that ONNX Runtime has optimized, shown where they lie, and what nobody looks at is pruned. Where
each lies is verified on one sample, to the last bit, against the plain probe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibrant.core.types import Feeds, FloatArray, Observer
from calibrant.runtimes.ort_files import StoredGraph, optimized, read_graph
from calibrant.runtimes.ort_graph import CannotMatchError, Twins, pruned, readers_of
from calibrant.runtimes.ort_shown import ShownTensors, shown_tensors

# Channels that lie side by side: 8 with AVX2, 16 with AVX-512; 4 and 32 in case others come.
BLOCK_SIZES = (8, 16, 4, 32)
# Tensors that the optimizer hides are kept by making them outputs, which undoes fusions: a few at most.
MOST_KEPT = 1 / 8


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
        whole_ones = stored.reshape(self.shape[0], self.shape[1] // self.block, -1, self.block)
        views = (view for blocks in whole_ones for view in (blocks[:whole], blocks[whole, :, :rest]))
        return tuple(view for view in views if view.size)


def fused_probe(model: Path, tensors: Sequence[str], feeds: Feeds, true: Feeds) -> FusedProbe | None:
    """A probe for ``tensors`` of a model that has them among its outputs.

    feeds, true: a sample, and the tensors' values on it. None where only the plain probe is right.
    """
    try:
        return _matched(read_graph(model), tensors, feeds, true)
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
    # Several fit where padding looks like channels; for one pixel they are the same.
    is_padded, places = stored.shape[1] != channels, stored.shape[2] * stored.shape[3]
    if not fitting or (len(fitting) > 1 and is_padded and places > 1):
        return None
    return Place(internal, stored.shape, channels, fitting[0])


def _holds(stored: FloatArray, true: FloatArray, block: int) -> bool:
    count, channels, height, width = true.shape
    padded = -(-channels // block) * block
    if stored.shape != (count, padded, height, width):
        return False
    blocks = stored.reshape(count, padded // block, height, width, block).transpose(0, 1, 4, 2, 3)
    return np.array_equal(blocks.reshape(stored.shape)[:, :channels], true)


def _matched(model: StoredGraph, tensors: Sequence[str], feeds: Feeds, true: Feeds) -> FusedProbe:
    """Raises CannotMatchError when a tensor cannot be had."""
    if any(array.dtype != np.float32 for array in feeds.values()):
        raise CannotMatchError("inputs that are not float32")
    wanted = [tensor for tensor in dict.fromkeys(tensors) if tensor not in feeds]
    readers = readers_of(model.proto)
    ends = [output.name for output in model.proto.graph.output if output.name not in readers]
    kept: list[str] = []
    for _ in range(2):
        source = model.with_proto(pruned(model.proto, [*ends, *kept]))
        shown, places = _placed(source, optimized(source), wanted, feeds, true)
        kept = [tensor for tensor in wanted if tensor not in places]
        if not kept:
            return FusedProbe(shown, tensors, places, feeds)
        if len(kept) > MOST_KEPT * len(wanted):
            break
    raise CannotMatchError(f"{len(kept)} tensors, e.g. {kept[0]!r}")


def _placed(
    source: StoredGraph, fused: StoredGraph, wanted: Sequence[str], feeds: Feeds, true: Feeds
) -> tuple[ShownTensors, dict[str, Place]]:
    """The tensors' likely places, open to be shown, and those that hold what they should."""
    twins = Twins(source.proto, fused.proto)
    guesses = _by_place({name: place for name in wanted if (place := twins.tensor(name)) is not None})
    shown = shown_tensors(fused.with_proto(pruned(fused.proto, [*guesses])), [*guesses])
    places: dict[str, Place] = {}

    def verify(internal: str, stored: FloatArray) -> None:
        for tensor in guesses[internal]:
            place = place_of(tensor, internal, stored, true[tensor])
            if place is not None:
                places[tensor] = place

    shown.run(feeds, verify)
    return shown, places


def _by_place(internal: Mapping[str, str]) -> dict[str, list[str]]:
    """The tensors that lie in the same place."""
    tensors = defaultdict(list)
    for tensor, name in internal.items():
        tensors[name].append(tensor)
    return dict(tensors)


class FusedProbe:
    """Runs the optimized graph and shows tensors where they lie."""

    def __init__(
        self, shown: ShownTensors, tensors: Sequence[str], places: Mapping[str, Place], feeds: Feeds
    ) -> None:
        self._shown, self._places = shown, places
        self._fed = {name: array.shape for name, array in feeds.items()}
        self._inputs = [tensor for tensor in dict.fromkeys(tensors) if tensor in feeds]
        self._tensors = _by_place({tensor: place.internal for tensor, place in places.items()})

    def takes(self, feeds: Feeds) -> bool:
        """Whether the inputs are of the kind that places were found for."""
        shapes = {name: array.shape for name, array in feeds.items() if array.dtype == np.float32}
        return shapes == self._fed

    def run(self, feeds: Feeds, observe: Observer) -> None:
        """Hand over each of the tensors of one sample. Raises what ``observe`` raises."""

        def show(internal: str, stored: FloatArray) -> None:
            for tensor in self._tensors[internal]:
                observe(tensor, *map(np.ascontiguousarray, self._places[tensor].parts(stored)))

        for tensor in self._inputs:  # first, for what is wrong there is wrong everywhere
            observe(tensor, np.ascontiguousarray(feeds[tensor]))
        self._shown.run(feeds, show)

    def close(self) -> None:
        """Release the graph's memory."""
        self._shown.close()
