"""Costs of models whose files leave shapes open: those of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feeding import Feeding, Values
from onnx import TensorProto, helper, numpy_helper, save

from calibrant.models.onnx.cost import costs, total_macs
from calibrant.models.onnx.model import Model, load_model
from calibrant.runtimes import runtime_named
from calibrant.stages.costs import costs_of_sample


def model(folder: Path, width: int | str) -> Model:
    """A convolution, and a matrix product behind a reshape whose sizes are computed."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 5])
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("w", (8, 3, 4, 1)), ("v", (8, 5)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Reshape", ["c", "s"], ["r"]),
        helper.make_node("Squeeze", ["r"], ["q"]),
        helper.make_node("Transpose", ["q"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["t", "v"], ["y"], name="product"),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    path = folder / "m.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


@pytest.mark.parametrize("width", [10, "width"])
def test_open_shapes_are_those_of_the_sample(tmp_path: Path, width: int | str) -> None:
    opened = model(tmp_path, width)
    sample = Values("a", np.zeros((1, 3, 4, 10), np.float32))
    found = costs_of_sample(opened, Feeding(), runtime_named("onnxruntime"), sample)
    assert {cost.node: cost.macs for cost in found} == {"conv": 8 * 10 * 3 * 4, "product": 10 * 5 * 8}
    if width == "width":
        assert total_macs(costs(opened)) is None
