"""Raising the opset keeps the function, the names and the nodes, whatever ONNX's converter forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, run

from calibrant.core.schemes import SCHEMES
from calibrant.models.onnx.model import load_model, raised, save_model
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.walk import name_of

FLOAT = np.float32


def between_convolutions(
    op_type: str, more: tuple[np.ndarray[Any, Any], ...] = (), constant: bool = False, **attributes: Any
) -> GraphBuilder:
    """Convolution, the operator, convolution: 1x3x8x8 to whatever it gives."""
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 3), kernel=3)
    inputs = ["a"]
    for index, array in enumerate(more):
        name = f"{op_type}_{index}"
        if constant:
            graph.node("Constant", [], name, value=onnx.numpy_helper.from_array(array))
        else:
            graph.constant(name, array)
        inputs.append(name)
    graph.node(op_type, inputs, "middle", name="the_operator", **attributes)
    graph.conv("middle", "c", (3, 2))
    graph.node("Neg", ["c"], graph.output("y", ["n", "c", "h", "w"]), name="end")
    return graph


UP, DOWN = [1, 1, 2, 2], [1, 1, 0.5, 0.5]
GRADUALLY = [1, 1, 1.5, 1.25]
A_LITTLE_LESS = [1, 1, 0.6, 0.7]
RESIZES = [
    *((opset, "Upsample", mode, scales) for opset in (7, 8, 9) for mode in ("linear", "nearest")
      for scales in (UP, GRADUALLY)),
    *((10, "Resize", mode, scales) for mode in ("linear", "nearest")
      for scales in (UP, DOWN, GRADUALLY, A_LITTLE_LESS)),
]  # fmt: skip


@pytest.mark.parametrize("constant", [False, True], ids=["initializer", "constant"])
@pytest.mark.parametrize(("opset", "op_type", "mode", "scales"), RESIZES)
def test_resizing_before_opset_11_keeps_its_function_and_names(
    tmp_path: Path, opset: int, op_type: str, mode: str, scales: list[float], constant: bool
) -> None:
    if opset < 9:
        graph = between_convolutions(op_type, mode=mode, scales=[float(scale) for scale in scales])
    else:
        graph = between_convolutions(op_type, (np.array(scales, FLOAT),), constant, mode=mode)
    _raising_keeps(graph.save(tmp_path / "old.onnx", opset, 6))


OTHERS = [
    (9, "Pad", {"mode": "reflect", "pads": [0, 0, 1, 2, 0, 0, 2, 1], "value": 0.5}),
    (10, "Pad", {"mode": "edge", "pads": [0, 0, 1, 2, 0, 0, 2, 1]}),
    (7, "Pad", {"mode": "constant", "pads": [0, 0, 1, 2, 0, 0, 2, 1], "value": 0.5}),
    (9, "Clip", {"min": -0.1, "max": 0.5}),
    (7, "Dropout", {"ratio": 0.3}),
    (11, "Softmax", {"axis": 1}),
    (12, "Softmax", {"axis": 2}),
    (9, "LogSoftmax", {"axis": 1}),
    (12, "ReduceSum", {"axes": [2], "keepdims": 1}),
    (9, "Slice", {"starts": [1, -4], "ends": [100, -1], "axes": [2, 3]}),
]


@pytest.mark.parametrize(("opset", "op_type", "attributes"), OTHERS)
def test_other_operators_keep_their_function_and_names(
    tmp_path: Path, opset: int, op_type: str, attributes: dict[str, Any]
) -> None:
    _raising_keeps(between_convolutions(op_type, **attributes).save(tmp_path / "old.onnx", opset, 6))


def _raising_keeps(path: Path) -> None:
    model = load_model(path)
    new = raised(model, 13)
    save_model(new.ir, path.with_name("new.onnx"))
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(FLOAT)}
    np.testing.assert_allclose(
        run(path.with_name("new.onnx"), feeds)["y"], run(path, feeds)["y"], rtol=1e-5, atol=1e-6
    )
    assert {node.name for node in model.ir.graph} <= {node.name for node in new.ir.graph}
    assert _values(model.ir.graph) <= _values(new.ir.graph)
    assert new.as_given.ir is model.ir


def _values(graph: Any) -> set[str]:
    return {name_of(value) for node in graph for value in node.outputs if node.op_type != "Constant"}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("opset", [7, 8, 9, 10])
def test_what_is_planned_is_found_in_the_raised_graph(tmp_path: Path, scheme: Any, opset: int) -> None:
    if opset < 9:
        graph = between_convolutions("Upsample", mode="linear", scales=[1.0, 1.0, 2.0, 2.0])
    else:
        op_type = "Upsample" if opset == 9 else "Resize"
        graph = between_convolutions(op_type, (np.array(UP, FLOAT),), mode="linear")
    model = load_model(graph.save(tmp_path / "old.onnx", opset, 6))
    new = raised(model, scheme.min_opset)
    plan = quant_points(model, scheme)
    assert plan == quant_points(new, scheme)
    nodes = {node.name for node in new.ir.graph}
    assert {node for point in plan.activations for node, _ in point.consumers} <= nodes


@pytest.mark.parametrize("version", [9, 12, 17])
def test_the_standards_other_name_is_the_standard(tmp_path: Path, version: int) -> None:
    graph = between_convolutions("Relu")
    proto = graph.model(opset=version, ir_version=7)
    proto.opset_import[0].domain = "ai.onnx"
    for node in proto.graph.node[1:]:
        node.domain = "ai.onnx"
    onnx.save(proto, tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    assert model.ir.opset_imports == {"": version}
    assert {node.domain for node in model.ir.graph} == {""}
    assert len(quant_points(model, SCHEMES["tensorrt"]).weights) == 2


def test_both_names_of_the_standard_are_one_version(tmp_path: Path) -> None:
    proto = between_convolutions("Relu").model(opset=11, ir_version=7)
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 12))
    onnx.save(proto, tmp_path / "m.onnx")
    assert load_model(tmp_path / "m.onnx").ir.opset_imports == {"": 12}


def test_the_other_name_is_found_within_bodies(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["b"], domain="ai.onnx")],
        "body",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 3))
    graph.constant("yes", np.array(True))
    graph.node("If", ["yes"], graph.output("y", [1, 3, 8, 8]), then_branch=body, else_branch=body)
    proto = graph.model(opset=17)
    proto.opset_import[0].domain = "ai.onnx"
    onnx.save(proto, tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    inner = next(node for node in model.ir.graph if node.op_type == "If").attributes["then_branch"].as_graph()
    assert [node.domain for node in inner] == [""]


def test_nodes_in_any_order_are_sorted(tmp_path: Path) -> None:
    graph = between_convolutions("Relu")
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(FLOAT)}
    expected = run(graph.save(tmp_path / "sorted.onnx"), feeds)["y"]
    graph.nodes = [*graph.nodes[2:], *graph.nodes[:2]]
    model = load_model(graph.save(tmp_path / "m.onnx"))
    assert not model.is_as_in_file
    save_model(model.ir, tmp_path / "again.onnx")
    np.testing.assert_array_equal(run(tmp_path / "again.onnx", feeds)["y"], expected)


def test_nodes_that_are_sorted_keep_their_order(tmp_path: Path) -> None:
    model = load_model(between_convolutions("Relu").save(tmp_path / "m.onnx"))
    assert model.is_as_in_file
    assert [node.name for node in model.ir.graph] == ["conv_a", "the_operator", "conv_c", "end"]
