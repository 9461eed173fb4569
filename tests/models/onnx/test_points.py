"""Where a scheme quantizes, and what it leaves in float."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import GraphBuilder, load_small_detector, small_detector

from calibrant.core.errors import AlreadyQuantizedError, ModelError, SettingsError
from calibrant.core.schemes import TENSORRT
from calibrant.models.onnx.model import Model, load_model
from calibrant.models.onnx.points import (
    ActivationPoint,
    QuantPoints,
    WeightPoint,
    activation_tensors,
    has_qdq,
    pooling_ties,
    quant_points,
)


def loaded(graph: GraphBuilder, folder: Path, opset: int = 13) -> Model:
    return load_model(graph.save(folder / "model.onnx", opset=opset))


def plan_of(graph: GraphBuilder, folder: Path) -> QuantPoints:
    return quant_points(loaded(graph, folder), TENSORRT)


def vector_graph() -> GraphBuilder:
    graph = GraphBuilder()
    graph.input("x", [2, 6])
    return graph


# --- what is chosen --------------------------------------------------------------------------------


def test_convolutions_give_their_input_and_weight(tmp_path: Path) -> None:
    plan = quant_points(load_small_detector(tmp_path), TENSORRT)
    assert plan == QuantPoints(
        activations=(
            ActivationPoint("x", (("conv_a", 0),)),
            ActivationPoint("b", (("conv_c", 0),)),
            ActivationPoint("d", (("conv_e", 0),)),
        ),
        weights=(
            WeightPoint("a_w", "conv_a", 1, 0),
            WeightPoint("c_w", "conv_c", 1, 0),
            WeightPoint("e_w", "conv_e", 1, 0),
        ),
        kept_float=(),
    )


def test_a_tensor_that_several_nodes_read_is_one_point(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), graph.output("y", [1, 2, 8, 8]), (3, 2))
    graph.conv("x", graph.output("z", [1, 2, 8, 8]), (3, 2))
    assert plan_of(graph, tmp_path).activations == (ActivationPoint("x", (("conv_y", 0), ("conv_z", 0))),)


@pytest.mark.parametrize(
    ("op_type", "weight", "attributes", "axis"),
    [
        ("Gemm", (6, 4), {}, 1),
        ("Gemm", (4, 6), {"transB": 1}, 0),
        ("MatMul", (6, 4), {}, 1),
        ("MatMul", (5, 6, 4), {}, 2),
    ],
)
def test_products_are_quantized_along_their_output_channels(
    tmp_path: Path, op_type: str, weight: tuple[int, ...], attributes: dict[str, int], axis: int
) -> None:
    graph = vector_graph()
    graph.weight("w", *weight)
    graph.node(op_type, ["x", "w"], graph.output("y", [None] * len(weight)), name="product", **attributes)
    assert plan_of(graph, tmp_path).weights == (WeightPoint("w", "product", 1, axis),)


def test_transposed_convolutions_are_quantized_along_axis_one(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 3, 4, 4])
    graph.weight("w", 3, 2, 2, 2)
    graph.node("ConvTranspose", ["x", "w"], graph.output("y", [1, 2, 8, 8]), name="up", strides=[2, 2])
    assert plan_of(graph, tmp_path).weights == (WeightPoint("w", "up", 1, 1),)


def test_weights_may_be_constant_nodes_and_transposed_constants(tmp_path: Path) -> None:
    graph = vector_graph()
    value = numpy_helper.from_array(np.ones((6, 4), np.float32), "t")
    graph.nodes.append(helper.make_node("Constant", [], ["k"], value=value))
    graph.node("MatMul", ["x", "k"], graph.output("y", [2, 4]), name="first")
    graph.node("Transpose", [graph.weight("w", 4, 6)], "w_t", perm=[1, 0])
    graph.node("MatMul", ["x", "w_t"], graph.output("z", [2, 4]), name="second")
    assert plan_of(graph, tmp_path).weights == (
        WeightPoint("k", "first", 1, 1),
        WeightPoint("w_t", "second", 1, 1),
    )


# --- what is left in float -------------------------------------------------------------------------


def test_computed_weights_constant_activations_and_vectors_stay_float(tmp_path: Path) -> None:
    graph = vector_graph()
    graph.node("MatMul", ["x", graph.input("v", [6, 2])], graph.output("a", [2, 2]), name="attention")
    graph.weight("w", 2, 6)
    graph.node("MatMul", ["w", "v"], graph.output("b", [2, 2]), name="constant_first")
    graph.node("MatMul", ["w", graph.weight("u", 6, 3)], graph.output("c", [2, 3]), name="constant_both")
    graph.node("MatMul", ["x", graph.weight("vector", 6)], graph.output("d", [2]), name="with_vector")
    plan = plan_of(graph, tmp_path)
    assert plan == QuantPoints((), (), ("attention", "constant_first", "constant_both", "with_vector"))


@pytest.mark.parametrize("pattern", ["conv_c", "conv_[c]", "*c"])
def test_nodes_are_kept_float_by_name_or_pattern(tmp_path: Path, pattern: str) -> None:
    plan = quant_points(load_small_detector(tmp_path), TENSORRT, exclude=[pattern])
    assert plan.kept_float == ("conv_c",)
    assert [point.tensor for point in plan.activations] == ["x", "d"]
    assert [point.node for point in plan.weights] == ["conv_a", "conv_e"]


def test_a_name_with_brackets_is_matched_literally_first(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 3, 8, 8])
    for name in ("m[1]", "m1"):
        graph.weight(f"{name}_w", 2, 3, 1, 1)
        graph.node("Conv", ["x", f"{name}_w"], graph.output(f"{name}_y", [1, 2, 8, 8]), name=name)
    assert quant_points(loaded(graph, tmp_path), TENSORRT, exclude=["m[1]"]).kept_float == ("m[1]",)


def test_a_pattern_without_match_names_close_nodes(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no node matches 'conv_x\*'; close: .*'conv_[ace]'"):
        quant_points(load_small_detector(tmp_path), TENSORRT, exclude=["conv_x*"])


def test_the_head_is_what_no_other_convolution_follows(tmp_path: Path) -> None:
    plan = quant_points(load_small_detector(tmp_path), TENSORRT, keep_head_float=True)
    assert plan.kept_float == ("conv_e",)


def test_a_projection_of_distributions_belongs_to_the_head_with_what_feeds_it(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "body", (3, 4))
    graph.conv("body", "sides", (4, 16))
    graph.conv("body", graph.output("classes", [1, 7, 8, 8]), (4, 7))
    graph.node("Softmax", ["sides"], "probabilities", axis=1)
    graph.constant("dfl_w", np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1))
    graph.node("Conv", ["probabilities", "dfl_w"], graph.output("boxes", [1, 1, 8, 8]), name="dfl")
    plan = quant_points(loaded(graph, tmp_path), TENSORRT, keep_head_float=True)
    assert plan.kept_float == ("conv_sides", "conv_classes", "dfl")


def test_nodes_in_subgraphs_stay_float(tmp_path: Path) -> None:
    model = load_model(branching(tmp_path))
    plan = quant_points(model, TENSORRT)
    assert [point.node for point in plan.weights] == ["conv_a"]
    assert plan.kept_float == ("inner_else", "inner_then")
    head = quant_points(model, TENSORRT, keep_head_float=True)
    assert head.kept_float == ("inner_else", "inner_then"), "a branch is a layer after conv_a"


def branching(folder: Path) -> Path:
    """A convolution, then an If whose branches hold one each; they share the outer weight ``w``."""

    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Conv", ["a", "w"], [name], name=f"inner_{name}")
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 8, 8])]
        )

    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 4))
    graph.input("which", [], TensorProto.BOOL)
    graph.weight("w", 2, 4, 1, 1)
    graph.node(
        "If",
        ["which"],
        graph.output("y", [1, 2, 8, 8]),
        name="if",
        then_branch=branch("then"),
        else_branch=branch("else"),
    )
    return graph.save(folder / "branching.onnx")


def test_half_precision_is_quantized_as_float32(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [2, 6], TensorProto.FLOAT16)
    graph.constant("w", np.ones((6, 4), np.float16))
    graph.node("MatMul", ["x", "w"], graph.output("y", [2, 4], TensorProto.FLOAT16), name="product")
    assert [point.node for point in plan_of(graph, tmp_path).weights] == ["product"]


def test_an_opset_that_cannot_be_raised_is_known_before_calibration(tmp_path: Path) -> None:
    beyond = dataclasses.replace(TENSORRT, min_opset=99)
    with pytest.raises(ModelError, match=r"opset 13 cannot be raised to 99.*export the model again"):
        quant_points(load_small_detector(tmp_path), beyond)


def test_a_model_without_anything_to_quantize_has_an_empty_plan(tmp_path: Path) -> None:
    graph = vector_graph()
    graph.node("Relu", ["x"], graph.output("y", [2, 6]))
    assert plan_of(graph, tmp_path) == QuantPoints((), (), ())


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    graph = vector_graph()
    graph.constant("scale", np.array(0.1, np.float32))
    graph.constant("zero", np.array(0, np.int8))
    graph.node("QuantizeLinear", ["x", "scale", "zero"], "q", name="quantize")
    graph.node("DequantizeLinear", ["q", "scale", "zero"], graph.output("y", [2, 6]), name="dequantize")
    model = loaded(graph, tmp_path)
    assert has_qdq(model)
    with pytest.raises(
        AlreadyQuantizedError, match=r"2 quantized nodes, e\.g\. 'quantize'; give the float model"
    ):
        quant_points(model, TENSORRT)


def test_a_float_model_has_no_qdq(tmp_path: Path) -> None:
    assert not has_qdq(load_small_detector(tmp_path))


# --- which tensors can be observed -----------------------------------------------------------------


def test_activations_are_all_float_tensors_of_a_run_in_order(tmp_path: Path) -> None:
    graph = small_detector()
    graph.nodes.append(
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones(1, np.float32), "k"))
    )
    graph.node("Shape", ["out"], graph.output("shape", [4], TensorProto.INT64))
    graph.node("Mul", ["out", "k"], graph.output("scaled", [1, 5, 8, 8]))
    tensors = activation_tensors(loaded(graph, tmp_path))
    assert tensors == ("x", "a", "b", "c", "d", "e", "out", "scaled")


def test_unused_outputs_are_no_activations(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 1, 4, 4])
    pool = helper.make_node("MaxPool", ["x"], ["y", ""], kernel_shape=[2, 2])
    graph.nodes.append(pool)
    graph.output("y", [1, 1, 3, 3])
    assert activation_tensors(loaded(graph, tmp_path)) == ("x", "y")


def test_pooling_outputs_are_tied_to_their_inputs(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("MaxPool", [graph.input("x", [1, 1, 4, 4])], "a", kernel_shape=[2, 2])
    graph.node("AveragePool", ["a"], "b", kernel_shape=[2, 2])
    graph.node("GlobalAveragePool", ["b"], graph.output("c", [1, 1, 1, 1]))
    assert pooling_ties(loaded(graph, tmp_path)) == {"a": "x", "b": "a"}
