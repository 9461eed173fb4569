"""The detectors of ../shared go through the whole room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_graphs import FloatArray, fake_quantized, minmax_encodings, run

from calibrant.core.quantize import weight_encoding
from calibrant.core.schemes import TENSORRT
from calibrant.models.onnx.cost import costs, total_macs
from calibrant.models.onnx.model import Model, load_model, save_model, signature_of
from calibrant.models.onnx.onnx_passes import with_opset
from calibrant.models.onnx.points import activation_tensors, quant_points
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.walk import constant_tensor

pytestmark = pytest.mark.shared

# name: convolutions, nodes of the head, billions of MACs
MODELS = {
    "yolov5n_640": (60, 3, 2.23),
    "yolov5n_320": (60, 3, 0.56),
    "yolox_nano_416": (113, 9, 0.52),
    "fastestdet_352": (70, 3, 0.12),
    "nanodet_m_416": (73, 3, 0.58),
    "yolo_fastest_1.1_xl_320": (84, 2, 0.36),
}
OPSET_11 = ("yolox_nano_416", "fastestdet_352", "nanodet_m_416")


def image_for(model: Model) -> tuple[str, FloatArray]:
    info = signature_of(model).inputs[0]
    shape = [size or 1 for size in info.shape]
    return info.name, np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)


def load(shared: Path, name: str) -> Model:
    return load_model(shared / "models" / f"{name}.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_every_convolution_is_planned(shared: Path, name: str) -> None:
    model = load(shared, name)
    convolutions, head, billions = MODELS[name]
    plan = quant_points(model, TENSORRT)
    assert len(plan.weights) == convolutions == signature_of(model).op_counts["Conv"]
    assert plan.kept_float == ()
    assert len(quant_points(model, TENSORRT, keep_head_float=True).kept_float) == head
    macs = total_macs(costs(model))
    assert macs is not None
    assert macs / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "yolov5n_640"])
def test_quantized_models_pass_the_check_and_run(shared: Path, name: str, tmp_path: Path) -> None:
    model = load(shared, name)
    source, image = image_for(model)
    plan = quant_points(model, TENSORRT)
    encodings = minmax_encodings(model, plan, {source: image}, tmp_path)
    save_model(with_qdq(model, plan, encodings, TENSORRT), tmp_path / "q.onnx")
    onnx.checker.check_model(str(tmp_path / "q.onnx"), full_check=True)
    outputs, expected = run(tmp_path / "q.onnx", {source: image}), run(model.path, {source: image})
    assert outputs.keys() == expected.keys()
    assert any(not np.array_equal(outputs[key], expected[key]) for key in expected)
    assert all(np.isfinite(values).all() for values in outputs.values())
    assert (tmp_path / "q.onnx").stat().st_size < model.path.stat().st_size / 2


@pytest.mark.parametrize("name", OPSET_11)
def test_raising_the_opset_changes_no_output(shared: Path, name: str, tmp_path: Path) -> None:
    model = load(shared, name)
    source, image = image_for(model)
    save_model(with_opset(model.ir, 13), tmp_path / "raised.onnx")
    raised = run(tmp_path / "raised.onnx", {source: image})
    for output, expected in run(model.path, {source: image}).items():
        np.testing.assert_array_equal(raised[output], expected)


def first_convolution(model: Model) -> ir.Node:
    return next(node for node in model.ir.graph if node.op_type == "Conv")


def alone(node: ir.Node, data: FloatArray, weights: FloatArray, folder: Path) -> FloatArray:
    """The node's output, run by itself with other data and weights."""
    bias = constant_tensor(node.inputs[2]) if len(node.inputs) > 2 else None
    constants = {"w": weights, **({"b": bias.numpy()} if bias is not None else {})}
    proto = ir.serde.serialize_node(node)
    del proto.input[:], proto.output[:]
    proto.input.extend(["x", *constants])
    proto.output.append("y")
    graph = onnx.helper.make_graph(
        [proto],
        "alone",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, data.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 13)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), str(folder / "alone.onnx"))
    return run(folder / "alone.onnx", {"x": data}, fused=False)["y"]


@pytest.mark.parametrize("name", ["yolov5n_320", "yolox_nano_416"])
def test_the_first_convolution_computes_what_core_says(shared: Path, name: str, tmp_path: Path) -> None:
    model = load(shared, name)
    source, image = image_for(model)
    plan = quant_points(model, TENSORRT)
    encodings = minmax_encodings(model, plan, {source: image}, tmp_path)
    save_model(with_qdq(model, plan, encodings, TENSORRT), tmp_path / "q.onnx")
    node = first_convolution(model)
    read, output = str(node.inputs[0].name), str(node.outputs[0].name)  # type: ignore[union-attr]
    probed = load_model(tmp_path / "q.onnx")
    save_model(with_outputs(probed, [read, f"{read}_dequantized", output]), tmp_path / "probed.onnx")
    values = {source: image, **run(tmp_path / "probed.onnx", {source: image}, fused=False)}
    data = fake_quantized(values[read], encodings[read])
    np.testing.assert_array_equal(values[f"{read}_dequantized"], data)
    constant = constant_tensor(node.inputs[1])
    assert constant is not None
    weights = fake_quantized(constant.numpy(), weight_encoding(constant.numpy(), TENSORRT.weights))
    np.testing.assert_array_equal(values[output], alone(node, data, weights, tmp_path))


@pytest.mark.parametrize("name", ["yolox_nano_416", "fastestdet_352"])
def test_activations_are_what_tensorrt_calibrates(shared: Path, name: str) -> None:
    """TensorRT's own MinMax cache lists every activation by its ONNX name, and layers it added itself."""
    cache = shared / "tensorrt" / "caches-8.5.1.7" / f"{name}.minmax.cache"
    listed = {line.rsplit(": ", 1)[0] for line in cache.read_text().splitlines()[1:]}
    assert {tensor for tensor in listed if not tensor.startswith("(Unnamed")} == set(
        activation_tensors(load(shared, name))
    )
