"""The Q/DQ graph computes what core.quantize says, and changes nothing that the plan does not name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx_graphs import (
    FloatArray,
    GraphBuilder,
    fake_quantized,
    load_small_detector,
    minmax_encodings,
    run,
    saved,
    small_detector,
    wide_encodings,
)
from test_points import branching

from calibrant.core.errors import NumericsError, SettingsError
from calibrant.core.quantize import encoding_of, on_axis, weight_encoding
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import Encoding, PerBlock, PerChannel, QuantSpec, Range
from calibrant.models.onnx.model import Model, load_model, save_model
from calibrant.models.onnx.onnx_passes import with_opset
from calibrant.models.onnx.points import activation_tensors, quant_points
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.qdq import with_qdq

X = np.random.default_rng(11).normal(size=(1, 3, 8, 8)).astype(np.float32)


def quantized_small_detector(folder: Path, **options: bool) -> tuple[Model, Model, Mapping[str, Encoding]]:
    model = load_small_detector(folder)
    plan = quant_points(model, TENSORRT)
    encodings = minmax_encodings(model, plan, {"x": X}, folder)
    return model, saved(with_qdq(model, plan, encodings, TENSORRT, **options), folder / "q.onnx"), encodings


def float_weight(model: Model, name: str) -> FloatArray:
    tensor = model.ir.graph.initializers[name].const_value
    assert tensor is not None
    weights: FloatArray = tensor.numpy()
    return weights


def all_values(model: Model, folder: Path, x: FloatArray) -> dict[str, FloatArray]:
    """Every float tensor of a literal run."""
    save_model(with_outputs(model, activation_tensors(model)), folder / "all.onnx")
    return {**run(folder / "all.onnx", {"x": x}, fused=False), "x": x}


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("float_weights", [False, True])
def test_activations_and_weights_are_quantized_as_core_says(tmp_path: Path, float_weights: bool) -> None:
    model, quantized_model, encodings = quantized_small_detector(tmp_path, float_weights=float_weights)
    values = all_values(quantized_model, tmp_path, X * 1.5)  # beyond the range: clipping must agree as well
    for tensor, encoding in encodings.items():
        np.testing.assert_array_equal(
            values[f"{tensor}_dequantized"], fake_quantized(values[tensor], encoding)
        )
    for name in ("a_w", "c_w", "e_w"):
        weights = float_weight(model, name)
        expected = fake_quantized(weights, weight_encoding(weights, TENSORRT.weights))
        np.testing.assert_array_equal(values[f"{name}_dequantized"], expected)


def test_the_quantized_model_is_close_to_the_float_one(tmp_path: Path) -> None:
    model, quantized_model, _ = quantized_small_detector(tmp_path)
    error = run(quantized_model.path, {"x": X})["out"] - run(model.path, {"x": X})["out"]
    assert 0 < np.abs(error).max() < 0.1


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=16, max_size=16),
    amax=st.floats(2.0**-20, 1e6, width=32),
    spec=st.sampled_from([QuantSpec("int8"), QuantSpec("uint8", symmetric=False)]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_encoding_is_computed_to_the_last_bit(
    tmp_path: Path, values: list[float], amax: float, spec: QuantSpec
) -> None:
    graph = GraphBuilder()
    graph.node(
        "MatMul", [graph.input("x", [1, 16]), graph.weight("w", 16, 2)], graph.output("y", [1, 2]), "m"
    )
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    encoding = encoding_of(Range(-amax / 3, amax), spec)
    result = saved(with_qdq(model, plan, {"x": encoding}, TENSORRT), tmp_path / "q.onnx")
    x = np.array([values], np.float32)
    np.testing.assert_array_equal(
        all_values(result, tmp_path, x)["x_dequantized"], fake_quantized(x, encoding)
    )


def test_activations_may_have_a_scale_and_zero_point_per_channel(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT, exclude=["conv_c", "conv_e"])
    spec = QuantSpec("uint8", symmetric=False, granularity=PerChannel(1))
    encoding = Encoding(np.array([0.01, 0.02, 0.03], np.float32), np.array([128, 10, 250]), spec)
    result = saved(with_qdq(model, plan, {"x": encoding}, TENSORRT), tmp_path / "q.onnx")
    np.testing.assert_array_equal(
        all_values(result, tmp_path, X)["x_dequantized"], fake_quantized(X, encoding)
    )


@pytest.mark.parametrize(
    ("op_type", "shape", "attributes", "axis"),
    [
        ("MatMul", (6, 4), {}, 1),
        ("MatMul", (2, 6, 4), {}, 2),
        ("Gemm", (6, 4), {}, 1),
        ("Gemm", (4, 6), {"transB": 1}, 0),
    ],
)
def test_products_dequantize_along_their_output_channels(
    tmp_path: Path, op_type: str, shape: tuple[int, ...], attributes: dict[str, int], axis: int
) -> None:
    graph = GraphBuilder()
    graph.input("x", [3, 6])
    graph.weight("w", *shape)
    graph.node(op_type, ["x", "w"], graph.output("y", [None] * len(shape)), name="product", **attributes)
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    weights = numpy_helper.to_array(graph.initializers[0])
    encoding = weight_encoding(weights, on_axis(TENSORRT.weights, axis))
    values = all_values(result, tmp_path, np.ones((3, 6), np.float32))
    np.testing.assert_array_equal(values["w_dequantized"], fake_quantized(weights, encoding))
    assert encoding.scale.shape == (4,)


# --- structure -------------------------------------------------------------------------------------


def test_integer_weights_replace_float_ones_and_biases_stay(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 3, 8, 8])
    graph.weight("w", 64, 3, 3, 3)
    graph.weight("b", 64)
    graph.node("Conv", ["x", "w", "b"], graph.output("y", [1, 64, 6, 6]), name="conv")
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    small = with_qdq(model, plan, wide_encodings(plan), TENSORRT)
    assert {name: value.dtype for name, value in small.graph.initializers.items()} == {
        "b": ir.DataType.FLOAT,
        "x_scale": ir.DataType.FLOAT,
        "x_zero_point": ir.DataType.INT8,
        "w_scale": ir.DataType.FLOAT,
        "w_zero_point": ir.DataType.INT8,
        "w_quantized": ir.DataType.INT8,
    }
    large = with_qdq(model, plan, wide_encodings(plan), TENSORRT, float_weights=True)
    assert "w" in large.graph.initializers
    assert [node.name for node in large.graph] == [
        "x_QuantizeLinear",
        "x_DequantizeLinear",
        "w_QuantizeLinear",
        "w_DequantizeLinear",
        "conv",
    ]


def test_blocks_are_refused(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    blocks = QuantSpec("int4", granularity=PerBlock(1, 2))
    with pytest.raises(SettingsError, match=r"PerBlock\(axis=\d, size=2\), and a Q/DQ model has one"):
        with_qdq(model, plan, wide_encodings(plan), dataclasses.replace(TENSORRT, weights=blocks))
    encodings = {
        tensor: dataclasses.replace(encoding, spec=blocks)
        for tensor, encoding in wide_encodings(plan).items()
    }
    with pytest.raises(SettingsError, match="a Q/DQ model has one"):
        with_qdq(model, plan, encodings, TENSORRT)


def test_readers_outside_the_plan_keep_the_float_tensor(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    result = with_qdq(model, plan, wide_encodings(plan), TENSORRT)
    reads = {node.name: [value.name for value in node.inputs if value is not None] for node in result.graph}
    assert reads["add"] == ["b", "c"]
    assert reads["conv_c"] == ["b_dequantized", "c_w_dequantized"]


def test_a_shared_weight_is_stored_once(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 3, 8, 8])
    graph.weight("w", 3, 3, 1, 1)
    graph.node("Conv", ["x", "w"], "a", name="first")
    graph.node("Conv", ["a", "w"], graph.output("y", [1, 3, 8, 8]), name="second")
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    both = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "both.onnx")
    readers = [
        node.name for node in both.ir.graph if node.inputs[1] and node.inputs[1].name == "w_dequantized"
    ]
    assert readers == ["first", "second"]
    assert "w" not in both.ir.graph.initializers
    plan = quant_points(model, TENSORRT, exclude=["first"])
    one = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "one.onnx")
    assert {"w", "w_quantized"} <= set(one.ir.graph.initializers)


def test_a_weight_shared_along_different_axes_is_stored_for_each(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [2, 6])
    graph.weight("w", 6, 6)
    graph.node("Gemm", ["x", "w"], "a", name="plain")
    graph.node("Gemm", ["a", "w"], graph.output("y", [2, 6]), name="transposed", transB=1)
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    axes = [
        node.attributes.get_int("axis")
        for node in result.ir.graph
        if node.op_type == "DequantizeLinear" and "axis" in node.attributes
    ]
    assert axes == [1, 0]


def test_constants_that_only_led_to_a_weight_are_removed(tmp_path: Path) -> None:
    graph = GraphBuilder()
    value = numpy_helper.from_array(np.eye(6, dtype=np.float32), "k")
    graph.nodes.append(helper.make_node("Constant", [], ["k"], value=value))
    graph.node("Transpose", ["k"], "k_t", perm=[1, 0])
    graph.node("MatMul", [graph.input("x", [2, 6]), "k_t"], graph.output("y", [2, 6]), name="product")
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    assert {node.op_type for node in result.ir.graph} == {"QuantizeLinear", "DequantizeLinear", "MatMul"}


def test_an_output_that_is_also_quantized_stays_float_outside(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), graph.output("a", [1, 4, 8, 8]), (3, 4))
    graph.conv("a", graph.output("b", [1, 4, 8, 8]), (4, 4))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT, exclude=["conv_a"])
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    np.testing.assert_array_equal(run(result.path, {"x": X})["a"], run(model.path, {"x": X})["a"])


def test_branches_keep_the_float_weights_they_share(tmp_path: Path) -> None:
    model = load_model(branching(tmp_path))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    assert "w" in result.ir.graph.initializers
    for which in (False, True):
        feeds = {"x": X, "which": np.array(which)}
        np.testing.assert_allclose(run(result.path, feeds)["y"], run(model.path, feeds)["y"], atol=0.5)


def test_names_that_are_taken_get_a_number(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [1, 3, 8, 8])], "x_scale", name="x_QuantizeLinear")
    graph.conv("x", "c", (3, 3))
    graph.node("Add", ["c", "x_scale"], graph.output("y", [1, 3, 8, 8]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    assert "x_scale_2" in result.ir.graph.initializers
    assert "x_QuantizeLinear_2" in {node.name for node in result.ir.graph}


@pytest.mark.parametrize("opset", [8, 11, 12, 13, 17, 21])
def test_the_opset_is_raised_to_the_schemes_and_never_lowered(tmp_path: Path, opset: int) -> None:
    model = load_model(small_detector().save(tmp_path / "m.onnx", opset=opset, ir_version=10))
    plan = quant_points(model, TENSORRT)
    result = saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx")
    assert result.ir.opset_imports[""] == max(opset, TENSORRT.min_opset)
    run(result.path, {"x": X})


def test_raising_the_opset_first_makes_no_difference(tmp_path: Path) -> None:
    old = load_model(small_detector().save(tmp_path / "old.onnx", opset=11, ir_version=6))
    new = saved(with_opset(old.ir, 13), tmp_path / "new.onnx")
    plan = quant_points(old, TENSORRT)
    assert quant_points(new, TENSORRT) == plan
    results = [
        run(saved(with_qdq(model, plan, wide_encodings(plan), TENSORRT), tmp_path / "q.onnx").path, {"x": X})
        for model in (old, new)
    ]
    np.testing.assert_array_equal(results[0]["out"], results[1]["out"])


# --- refusals --------------------------------------------------------------------------------------


def test_missing_encodings_are_counted_and_named(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    encodings = wide_encodings(plan)
    del encodings["b"]
    with pytest.raises(SettingsError, match=r"1 of 3 activations have no encoding, e\.g\. 'b'"):
        with_qdq(model, plan, encodings, TENSORRT)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_are_not_positive_are_refused(tmp_path: Path, scale: float) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    bad = Encoding(np.array(scale, np.float32), np.array(0), TENSORRT.activations)
    with pytest.raises(SettingsError, match="the scale of 'b' is not positive"):
        with_qdq(model, plan, {**wide_encodings(plan), "b": bad}, TENSORRT)


def test_narrow_activations_are_refused(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    narrow = dataclasses.replace(TENSORRT.activations, narrow=True)
    bad = Encoding(np.array(1.0, np.float32), np.array(0), narrow)
    with pytest.raises(SettingsError, match="'x' has a narrow encoding"):
        with_qdq(model, plan, {**wide_encodings(plan), "x": bad}, TENSORRT)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    graph = GraphBuilder()
    graph.constant("w", np.full((2, 3, 1, 1), value, np.float32))
    graph.node("Conv", [graph.input("x", [1, 3, 8, 8]), "w"], graph.output("y", [1, 2, 8, 8]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    with pytest.raises(NumericsError, match="weight 'w' holds NaN or infinite"):
        with_qdq(model, plan, wide_encodings(plan), TENSORRT)
