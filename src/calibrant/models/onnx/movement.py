"""Operators that only move values: what comes out of them lies in the range of what went in."""

from __future__ import annotations

import onnx_ir as ir

from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import pooling_ties
from calibrant.models.onnx.walk import is_standard, name_of

JOINING_OPS = frozenset({"Concat"})
# Only the first input holds values; the others are shapes, indices, pads and sizes.
MOVING_OPS = frozenset({
    "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Resize",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Upsample",
})  # fmt: skip


def value_sources(model: Model) -> dict[str, tuple[str, ...]]:
    """For each tensor into which an operator only moved values: the tensors that they came from.

    In topological order. A pooling output has its input (``pooling_ties``), a Concat output all its parts.
    """
    ties = pooling_ties(model)
    sources: dict[str, tuple[str, ...]] = {}
    for node in model.ir.graph:
        for value in node.outputs:
            name = name_of(value)
            moved = (ties[name],) if name in ties else _moved_by(node)
            if moved:
                sources[name] = moved
    return sources


def _moved_by(node: ir.Node) -> tuple[str, ...]:
    if is_standard(node, *JOINING_OPS):
        return tuple(name_of(value) for value in node.inputs if value is not None)
    if is_standard(node, *MOVING_OPS) and node.inputs[0] is not None:
        return (name_of(node.inputs[0]),)
    return ()
