"""Where the channels of an activation can be scaled: the scale, and what undoes it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from calibrant.models.onnx.model import Model
from calibrant.models.onnx.transforms.weights import DATA, is_depthwise, is_mendable
from calibrant.models.onnx.walk import constant_tensor, is_standard, name_of

# f(s * x) = s * f(x) for s > 0, channel by channel. Of all but the activations only the first input is data.
HOMOGENEOUS_OPS = frozenset({
    "Relu", "LeakyRelu", "PRelu", "Identity", "Dropout", "MaxPool", "AveragePool", "GlobalMaxPool",
    "GlobalAveragePool", "Resize", "Upsample",
})  # fmt: skip


@dataclass(frozen=True)
class ScalingSite:
    """Convolutions that read one activation and can undo a scale of each of its channels in their weights.

    readers: their names; either all depthwise, which undo it without loss, or none. producer: the convolution
    into whose weights the scale can be folded exactly, because nobody else sees what lies between; None: it
    needs a Mul of its own.
    """

    tensor: str
    readers: tuple[str, ...]
    is_depthwise: bool
    producer: str | None

    @property
    def key(self) -> str:
        """A name of this site that is unique in its model."""
        return self.readers[0]


def scaling_sites(model: Model, nodes: Collection[str]) -> tuple[ScalingSite, ...]:
    """The sites among convolutions named in ``nodes`` (those that will be quantized), in topological order.

    Depthwise convolutions and others that read the same activation form a site each: what is free for one
    costs the other resolution of its weights.
    """
    groups: dict[tuple[str, bool], list[ir.Node]] = {}
    for node in model.ir.graph:
        if name_of(node) in nodes and is_mendable(node):
            source = node.inputs[DATA]
            assert source is not None
            groups.setdefault((name_of(source), is_depthwise(node)), []).append(node)
    return tuple(_site(readers, depthwise) for (_, depthwise), readers in groups.items())


def _site(readers: list[ir.Node], depthwise: bool) -> ScalingSite:
    source = readers[0].inputs[DATA]
    assert source is not None
    producer = _producer(source, readers)
    names = tuple(name_of(node) for node in readers)
    return ScalingSite(name_of(source), names, depthwise, name_of(producer) if producer is not None else None)


def _producer(value: ir.Value, readers: list[ir.Node]) -> ir.Node | None:
    """The convolution that makes a value, through operators that let a positive scale pass."""
    while _is_read_by(value, readers):
        node = value.producer()
        if node is None or len(_used_outputs(node)) > 1:
            return None
        if is_mendable(node):
            return node
        source = node.inputs[DATA] if node.inputs else None
        if source is None or not _lets_scales_pass(node):
            return None
        value, readers = source, [node]
    return None


def _is_read_by(value: ir.Value, readers: list[ir.Node]) -> bool:
    """Whether nobody but ``readers`` sees a value, and they see it as their data."""
    others = [use for use in value.uses() if use.node not in readers or use.idx != DATA]
    return not others and not value.is_graph_output()


def _used_outputs(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.outputs if value.uses() or value.is_graph_output()]


def _lets_scales_pass(node: ir.Node) -> bool:
    if is_standard(node, "PRelu"):
        return constant_tensor(node.inputs[1]) is not None
    if is_standard(node, "Resize"):
        return node.attributes.get_string("coordinate_transformation_mode", "") != "tf_crop_and_resize"
    return is_standard(node, *HOMOGENEOUS_OPS)
