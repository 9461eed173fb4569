"""Making activations visible: a copy of the model that also outputs them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import onnx_ir as ir

from calibrant.core.errors import SettingsError
from calibrant.models.onnx.model import Model


def with_outputs(model: Model, tensors: Sequence[str]) -> ir.Model:
    """A copy whose graph also outputs ``tensors``, after its own outputs and in the given order.

    Tensors that are outputs already are not repeated. Graph inputs are not made outputs: whoever feeds
    them has their values. Types and shapes are given where ONNX could infer them.
    Raises SettingsError for a name that no run computes.
    """
    result = model.ir.clone()
    graph = result.graph
    fed = {value.name for value in graph.inputs}
    shown = {value.name for value in graph.outputs}
    computed = {value.name: value for node in graph for value in node.outputs if value.name}
    for tensor in dict.fromkeys(tensors):
        if tensor in fed or tensor in shown:
            continue
        if tensor not in computed:
            close = difflib.get_close_matches(tensor, [*computed], n=3, cutoff=0.0)
            raise SettingsError(
                f"the model computes no tensor {tensor!r}; close: {', '.join(map(repr, close))}"
            )
        value = computed[tensor]
        if value.type is None:
            value.type = ir.TensorType(ir.DataType.FLOAT)
        graph.outputs.append(value)
    return result
