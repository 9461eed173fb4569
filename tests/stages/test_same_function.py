"""Float is compared with float where the opset was raised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import NodeProto, helper, numpy_helper, save

from calibrant.core.errors import ModelError
from calibrant.core.types import Session
from calibrant.models.onnx.model import Model, load_model, raised
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.stages.same_function import require_same_function, require_same_on_synthetic_inputs

SAMPLE = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)


def old_model(folder: Path, *nodes: NodeProto) -> Model:
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
            *nodes,
            helper.make_node("Neg", ["b"], ["y"], name="last"),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", 1, ["n", "c", "h", "w"])],
        [numpy_helper.from_array(np.random.default_rng(1).normal(size=(3, 3, 1, 1)).astype(np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 9)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=5), folder / "m.onnx")
    return load_model(folder / "m.onnx")


def drive(session: Session) -> object:
    return session.run({"x": SAMPLE})


def test_what_keeps_its_function_is_let_through(tmp_path: Path) -> None:
    model = raised(old_model(tmp_path, helper.make_node("Softmax", ["a"], ["b"], axis=2)), 13)
    require_same_function(model, OnnxRuntime(1), drive)
    require_same_on_synthetic_inputs(model, OnnxRuntime(1))


def test_where_the_difference_begins_is_named(tmp_path: Path) -> None:
    model = raised(old_model(tmp_path, helper.make_node("Relu", ["a"], ["b"], name="middle")), 13)
    other = model.ir.clone()
    for node in other.graph:
        if node.name == "middle":
            node.op_type = "Abs"
    with pytest.raises(ModelError, match=r"from opset 9 to 13.*from tensor 'b' on.*export it again"):
        require_same_function(replace(model, ir=other), OnnxRuntime(1), drive)


def test_a_conversion_that_onnx_gets_wrong_is_refused(tmp_path: Path) -> None:
    """Hardmax took all axes from one on until opset 13, and ONNX's converter leaves it as it is."""
    model = raised(old_model(tmp_path, helper.make_node("Hardmax", ["a"], ["b"], axis=1)), 13)
    with pytest.raises(ModelError, match="from tensor 'b' on"):
        require_same_function(model, OnnxRuntime(1), drive)


def test_a_model_in_its_own_opset_is_not_run(tmp_path: Path) -> None:
    model = old_model(tmp_path, helper.make_node("Relu", ["a"], ["b"]))

    def fail(session: Session) -> object:
        raise AssertionError("nothing was raised")

    require_same_function(model, OnnxRuntime(1), fail)
    assert isinstance(model.ir, ir.Model)
