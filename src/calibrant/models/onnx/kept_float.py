"""Why layers stay in float, in words: whoever deploys the model has to know what is not quantized."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import onnx_ir as ir

from calibrant.core.types import Scheme
from calibrant.models.onnx.walk import constant_tensor, is_compute, is_standard, name_of

# Operators with weights that no scheme has.
_OTHERS_WITH_WEIGHTS = ("LSTM", "GRU", "RNN", "Einsum", "DeformConv")
_FOREIGN_WORDS = ("Conv", "MatMul", "Gemm", "Attention")
_DATA, _WEIGHT = 0, 1
ASKED_FOR = "it was asked for (--exclude, --keep-head-float)"


def reasons_for_float(
    nodes: Iterable[ir.Node], graph: ir.Graph, scheme: Scheme, excluded: Collection[str]
) -> dict[str, str]:
    """For each of these nodes that multiplies, and is not quantized, why. excluded: as users asked."""
    return {
        name_of(node): _reason(node, graph, scheme, excluded)
        for node in nodes
        if is_compute(node) or _is_other(node)
    }


def reasons_in_words(reasons: Mapping[str, str]) -> list[str]:
    """A line for each reason: how many layers have it, and one of them. Empty where all are quantized."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for node, reason in reasons.items():
        by_reason[reason].append(node)
    return [
        f"{len(found)} {'layer stays' if len(found) == 1 else 'layers stay'} float: {reason} "
        f"({', '.join(found[:1])}{', …' if len(found) > 1 else ''})"
        for reason, found in by_reason.items()
    ]


def _is_other(node: ir.Node) -> bool:
    if node.domain == "":
        return node.op_type in _OTHERS_WITH_WEIGHTS
    return any(word in node.op_type for word in _FOREIGN_WORDS)


def _reason(node: ir.Node, graph: ir.Graph, scheme: Scheme, excluded: Collection[str]) -> str:
    if name_of(node) in excluded:
        return ASKED_FOR
    if not is_standard(node, *scheme.weight_axis):
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        return f"scheme {scheme.name} does not quantize {operator}"
    if node.graph is not graph:
        return f"a {node.op_type} within If, Loop or Scan cannot be observed"
    return _reason_of_operands(node)


def _reason_of_operands(node: ir.Node) -> str:
    data, weight = (constant_tensor(node.inputs[index]) for index in (_DATA, _WEIGHT))
    if data is not None:
        both = "both inputs are" if weight is not None else "the left input is"
        return f"{both} constant in {node.op_type}; export it with the weight on the right"
    if weight is None:
        value = node.inputs[_WEIGHT]
        maker = value.producer() if value is not None else None
        source = f"computed by {maker.op_type}" if maker is not None else "an input of the model"
        return f"the right input of {node.op_type} is no constant but {source}"
    if weight.dtype != ir.DataType.FLOAT:
        return f"the weight of {node.op_type} is {weight.dtype.name.lower()}; export it in float32"
    return f"the weight of {node.op_type} has fewer than two dimensions"
