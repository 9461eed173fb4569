"""What transforms cost at run time: the passes over memory that they add between layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx_ir as ir

from calibrant.models.onnx.walk import is_standard

_ADDED = ("Mul", "Add", "Pad")


def added_passes(before: ir.Graph, after: ir.Graph) -> Mapping[str, int]:
    """How many Mul, Add and Pad ``after`` has beyond ``before``, most first, by their tensors' names.

    TensorRT 8.6 fuses none of them with what makes or rounds the tensor. An Add behind a Mul that nothing
    else reads is one layer with it, and counted as the Mul (docs/results-tensorrt.md).
    """
    known = {value.name for node in before for value in node.outputs}
    added = [node for node in after if is_standard(node, *_ADDED) and node.outputs[0].name not in known]
    return dict(Counter(node.op_type for node in added if not _joins(node, added)).most_common())


def _joins(node: ir.Node, added: list[ir.Node]) -> bool:
    source = node.inputs[0]
    producer = source.producer() if source is not None else None
    if source is None or producer is None or node.op_type != "Add" or producer.op_type != "Mul":
        return False
    return producer in added and len(source.uses()) == 1
