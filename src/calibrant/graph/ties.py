"""Tensors that TensorRT gives another tensor's scale.

Measured on TensorRT 8.5.1.7: the output of a MaxPool or AveragePool has its input's scale.
"""

from __future__ import annotations

from calibrant.graph.model import Model

TIED_OPERATORS = frozenset({"MaxPool", "AveragePool"})


def scale_ties(model: Model) -> dict[str, str]:
    """For each tied activation the tensor whose scale it takes, one step; chains are possible."""
    return {
        str(node.outputs[0].name): str(node.inputs[0].name)
        for node in model.ir.graph
        if node.op_type in TIED_OPERATORS and node.inputs[0] is not None
    }
