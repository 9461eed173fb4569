"""What convolutions read for one output value: a window of each input channel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.transforms.weights import DATA, groups, is_mendable, says_its_pads, weight_of
from calibrant.models.onnx.walk import name_of

_PLANE = 2


@dataclass(frozen=True)
class Window:
    """How a two-dimensional convolution, ``node``, reads ``tensor``.

    kernel, strides, dilations: (height, width). pads: (top, left, bottom, right).
    """

    node: str
    tensor: str
    groups: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    def read(self, activation: FloatArray, at_most: int, seed: int) -> FloatArray:
        """What is read at ``at_most`` random places of one image, (places, groups, weights of an output).

        activation: (1, C, H, W). The same seed chooses the same places.
        """
        top, left, bottom, right = self.pads
        plane = np.pad(activation[0], ((0, 0), (top, bottom), (left, right)))
        spans = [d * (k - 1) for d, k in zip(self.dilations, self.kernel, strict=True)]
        rows, columns = (
            (size - span - 1) // stride + 1
            for size, span, stride in zip(plane.shape[1:], spans, self.strides, strict=True)
        )
        count = min(at_most, rows * columns)
        places = np.random.default_rng(seed).choice(rows * columns, count, replace=False)
        y, x = places // columns * self.strides[0], places % columns * self.strides[1]
        found = np.empty((count, plane.shape[0], *self.kernel), np.float32)
        for row, column in np.ndindex(self.kernel):
            values = plane[:, y + row * self.dilations[0], x + column * self.dilations[1]]
            found[:, :, row, column] = values.T
        return found.reshape(count, self.groups, -1)


def windows_of(model: Model, nodes: Collection[str], most_weights: int) -> tuple[Window, ...]:
    """The windows of the two-dimensional convolutions among ``nodes``, in topological order.

    Left out are those whose outputs read more than ``most_weights`` values each, and those that do not say
    how much they pad.
    """
    return tuple(
        _window(node)
        for node in model.ir.graph
        if name_of(node) in nodes
        and is_mendable(node)
        and weight_of(node).ndim == 2 + _PLANE
        and weight_of(node)[0].size <= most_weights
        and says_its_pads(node)
    )


def _window(node: ir.Node) -> Window:
    source = node.inputs[DATA]
    assert source is not None
    height, width = weight_of(node).shape[2:]
    vertical, horizontal = node.attributes.get_ints("strides", (1,) * _PLANE)
    down, across = node.attributes.get_ints("dilations", (1,) * _PLANE)
    top, left, bottom, right = node.attributes.get_ints("pads", (0,) * 2 * _PLANE)
    return Window(
        node=name_of(node),
        tensor=name_of(source),
        groups=groups(node),
        kernel=(height, width),
        strides=(vertical, horizontal),
        pads=(top, left, bottom, right),
        dilations=(down, across),
    )
