"""Targets that compute on integers from one convolution to the next: where their pairs stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx_graphs import GraphBuilder, minmax_encodings, run, saved

from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import ONNXRUNTIME, OPENVINO, SCHEME_PROPERTY, TENSORRT
from calibrant.core.types import Encoding, PerChannel, QuantSpec, Range
from calibrant.models.onnx.biases import BiasPoint, bias_encoding, quantized_bias, with_room_for
from calibrant.models.onnx.model import Model, load_model, save_model
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.runtimes.ort import OnnxRuntime

X = np.random.default_rng(7).normal(size=(1, 3, 8, 8)).astype(np.float32)


def network() -> GraphBuilder:
    """Conv and Relu, a SiLU, a residual sum, pooling, a Concat, and a head whose output is decoded."""
    graph = GraphBuilder(3)
    image = graph.input("x", [1, 3, 8, 8])
    graph.conv(image, "a", (3, 8), kernel=3)
    graph.node("Relu", ["a"], "b", name="relu")
    graph.node("Conv", ["b", graph.weight("c_w", 8, 8, 1, 1), graph.weight("c_b", 8)], "c", name="conv_c")
    graph.node("Sigmoid", ["c"], "gate", name="gate")
    graph.node("Mul", ["c", "gate"], "d", name="silu")
    graph.node("Add", ["b", "d"], "sum", name="sum")
    graph.node("MaxPool", ["sum"], "pooled", name="pool", kernel_shape=[3, 3], pads=[1] * 4)
    graph.node("Transpose", ["pooled"], "turned", name="turn", perm=[0, 1, 3, 2])
    graph.node("Concat", ["turned", "b"], "joined", name="join", axis=1)
    graph.conv("joined", "head", (16, 5))
    graph.node("Sigmoid", ["head"], "scores", name="decode")
    graph.output("scores", [1, 5, 8, 8])
    graph.output("head", [1, 5, 8, 8])
    return graph


def loaded(folder: Path) -> Model:
    return load_model(network().save(folder / "model.onnx"))


def literal_and_fused(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The outputs of a file run as it is written, and fused as the runtime does it, with or without VNNI."""
    with OnnxRuntime(qdq="fused").open(path) as session:
        return run(path, {"x": X}, fused=False), session.run({"x": X})


def tensors(plan: QuantPoints) -> set[str]:
    return {point.tensor for point in plan.activations}


def test_everything_between_two_convolutions_is_rounded(tmp_path: Path) -> None:
    plan = quant_points(loaded(tmp_path), ONNXRUNTIME)
    assert tensors(plan) == {"x", "b", "c", "gate", "d", "sum", "pooled", "turned", "joined", "head"}
    assert "a" not in tensors(plan), "the Relu is computed by rounding its output"
    assert "scores" not in tensors(plan), "what no convolution follows stays float"


def test_operators_that_move_values_keep_the_encoding(tmp_path: Path) -> None:
    plan = quant_points(loaded(tmp_path), ONNXRUNTIME)
    ties = {point.tensor: point.tied_to for point in plan.activations if point.tied_to}
    assert ties == {"pooled": "sum", "turned": "sum"}


def test_all_readers_and_outputs_get_rounded_values(tmp_path: Path) -> None:
    points = {point.tensor: point for point in quant_points(loaded(tmp_path), ONNXRUNTIME).activations}
    assert set(points["b"].consumers) == {("conv_c", 0), ("sum", 0), ("join", 1)}
    assert points["head"].consumers == (("decode", 0),)
    assert [name for name, point in points.items() if point.is_output] == ["head"]


def test_openvino_rounds_what_convolutions_and_sums_read(tmp_path: Path) -> None:
    plan = quant_points(loaded(tmp_path), OPENVINO)
    readers = {point.tensor: set(point.consumers) for point in plan.activations}
    assert readers == {
        "x": {("conv_a", 0)},
        "b": {("conv_c", 0), ("sum", 0)},
        "d": {("sum", 1)},
        "joined": {("conv_head", 0)},
    }


def test_a_spared_convolution_stays_float(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    plan = quant_points(model, ONNXRUNTIME, exclude=["conv_c"])
    encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
    result = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx")
    found = Counter(node.op_type for node in fused_nodes(result.path))
    assert found["QLinearConv"] == 2
    assert sum(count for op, count in found.items() if "Conv" in op) == 3
    assert found["QLinearSigmoid"] == 0, "nothing but float goes in"
    assert {"c", "gate"}.isdisjoint(tensors(plan))


def test_a_spared_convolution_between_two_others_stays_float(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 4))
    graph.conv("a", "b", (4, 4))
    graph.node("Relu", ["b"], "c")
    graph.conv("c", "d", (4, 4))
    graph.conv("d", "e", (4, 4))
    graph.output("e", [1, 4, 8, 8])
    model = load_model(graph.save(tmp_path / "m.onnx"))
    for spared in ("conv_b", "conv_d"):
        plan = quant_points(model, ONNXRUNTIME, exclude=[spared])
        encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
        path = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx").path
        found = Counter(node.op_type for node in fused_nodes(path))
        assert found["QLinearConv"] == 3, spared
        literal, fused = (each["e"] for each in literal_and_fused(path))
        assert np.abs(literal - fused).max() <= 3.001 * encodings["e"].scale


def test_onnx_runtime_fuses_every_node_between_the_convolutions(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    plan = quant_points(model, ONNXRUNTIME)
    encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
    result = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx")
    found = Counter(node.op_type for node in fused_nodes(result.path))
    assert found["QLinearConv"] == 3
    assert [found[f"QLinear{op}"] for op in ("Sigmoid", "Mul", "Add", "Concat")] == [1, 1, 1, 1]
    assert not found.keys() & {"Conv", "Relu", "Mul", "Add", "Concat"}
    assert found["Sigmoid"] == 1, "the decoding"
    assert found["QuantizeLinear"] == 1, "at the input only"


def test_fused_integers_give_what_the_pairs_say(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    plan = quant_points(model, ONNXRUNTIME)
    encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
    path = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx").path
    literal, fused = (each["head"] for each in literal_and_fused(path))
    assert np.abs(literal - fused).max() <= 3.001 * encodings["head"].scale


def test_outputs_keep_their_names_and_the_model_its_scheme(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    plan = quant_points(model, ONNXRUNTIME)
    encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
    result = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx")
    assert [output.name for output in result.ir.graph.outputs] == ["scores", "head"]
    assert result.ir.metadata_props[SCHEME_PROPERTY] == "onnxruntime"
    steps = run(result.path, {"x": X})["head"] / encodings["head"].scale
    assert np.allclose(steps, np.rint(steps), atol=1e-3)


def test_a_bias_is_stored_in_steps_of_the_product(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    plan = quant_points(model, ONNXRUNTIME)
    encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, ONNXRUNTIME.activations)
    result = saved(with_qdq(model, plan, encodings, ONNXRUNTIME), tmp_path / "q.onnx")
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(result.path).graph.initializer}
    assert stored["c_b_quantized"].dtype == np.int32
    assert np.allclose(stored["c_b_scale"], encodings["b"].scale * stored["c_w_scale"])
    original = {t.name: numpy_helper.to_array(t) for t in onnx.load(model.path).graph.initializer}["c_b"]
    restored = stored["c_b_quantized"] * stored["c_b_scale"].astype(np.float64)
    assert (np.abs(restored - original) <= 0.51 * stored["c_b_scale"]).all()


def test_other_schemes_leave_biases_float(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    for scheme in (TENSORRT, OPENVINO):
        plan = quant_points(model, scheme)
        encodings = minmax_encodings(model, plan, {"x": X}, tmp_path, scheme.activations)
        result = saved(with_qdq(model, plan, encodings, scheme), tmp_path / "q.onnx")
        assert "c_b" in {tensor.name for tensor in onnx.load(result.path).graph.initializer}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    biases=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=4),
    weight_scale=st.floats(2.0**-100, 1.0, width=32),
    input_scale=st.floats(2.0**-20, 100.0, width=32),
)
def test_any_bias_fits_into_int32(biases: list[float], weight_scale: float, input_scale: float) -> None:
    values = np.array(biases, np.float32)
    spec = QuantSpec("int8", granularity=PerChannel(0), narrow=True)
    weight = Encoding(np.full(len(biases), weight_scale, np.float32), np.zeros(len(biases), np.int64), spec)
    point = BiasPoint("bias", "conv", values, input_scale)
    roomy = with_room_for([point], weight)
    assert (roomy.scale >= weight.scale).all()
    encoding = bias_encoding(point, roomy)
    steps = quantized_bias(point, encoding)
    assert np.abs(steps).max() <= 2**30 * (1 + 1e-6)
    assert (np.abs(steps * encoding.scale.astype(np.float64) - values) <= 0.5001 * encoding.scale).all()


def test_a_channel_of_tiny_weights_keeps_its_bias(tmp_path: Path) -> None:
    graph = GraphBuilder()
    image = graph.input("x", [1, 1, 4, 4])
    graph.constant("w", np.array([1.0, 1e-30], np.float32).reshape(2, 1, 1, 1))
    graph.constant("bias", np.array([0.5, 8.0], np.float32))
    graph.node("Conv", [image, "w", "bias"], "y", name="conv")
    graph.output("y", [1, 2, 4, 4])
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, ONNXRUNTIME)
    chosen = {name: encoding_of(Range(0, 10), ONNXRUNTIME.activations) for name in tensors(plan)}
    path = saved(with_qdq(model, plan, chosen, ONNXRUNTIME), tmp_path / "q.onnx").path
    found = run(path, {"x": np.ones((1, 1, 4, 4), np.float32)})["y"]
    assert np.allclose(found[0, :, 0, 0], [1.5, 8.0], atol=0.03)


def fused_nodes(path: Path) -> list[onnx.NodeProto]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return list(onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "fastestdet_352",
        "nanodet_m_416",
        "yolo_fastest_1.1_xl_320",
        "yolov5n_320",
        "yolov5n_640",
        "yolox_nano_416",
    ],
)
def test_every_convolution_of_a_real_detector_fuses(name: str, shared: Path, tmp_path: Path) -> None:
    model = load_model(shared / "models" / f"{name}.onnx")
    plan = quant_points(model, ONNXRUNTIME)
    zero_up = encoding_of(Range(0, 6), ONNXRUNTIME.activations)  # so that no ReLU is left over
    path = tmp_path / "q.onnx"
    save_model(with_qdq(model, plan, dict.fromkeys(tensors(plan), zero_up), ONNXRUNTIME), path)
    found = Counter(node.op_type for node in fused_nodes(path))
    assert found["QLinearConv"] == Counter(node.op_type for node in model.ir.graph)["Conv"]
    assert not [op for op in found if op in {"Conv", "FusedConv", "Relu", "LeakyRelu"}]
    assert found["QuantizeLinear"] <= 5
