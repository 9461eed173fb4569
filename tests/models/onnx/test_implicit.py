"""Where TensorRT rounds by itself, against the layers of 87 engines (8.5.1.7, H200)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.schemes import TENSORRT, TENSORRT_IMPLICIT
from calibrant.models.onnx.model import Model, load_model
from calibrant.models.onnx.points import precision_map, quant_points

GOLDEN = Path(__file__).parents[2] / "golden"
NETS = json.loads((GOLDEN / "tensorrt-8.5.1.7-implicit-synthetic.json").read_text("utf-8"))
MODELS = json.loads((GOLDEN / "tensorrt-8.5.1.7-implicit-models.json").read_text("utf-8"))
# A tensor that TensorRT gives its own name, and one whose scale was withheld: not what the graph says.
OTHERWISE = {"missing_mid", "missing_const", "softmax_mid", "prelu"}
REFORMAT = "Reformat"
VIEWS = {"fpn 160": {"t5_resize"}}  # its integers are copied into the joined tensor
# What depends on a kernel's speed (pooling in float, a tensor that is written into a joined one although
# others read it), and what changes nothing (integers that are copied).
OPEN = {
    "yolo_fastest_1.1_xl_320": {"l123"},
    "yolov5n_320": {
        "/layers.6/cv3/act/Mul_output_0",
        "/layers.9/m/MaxPool_output_0",
        "/layers.9/m_1/MaxPool_output_0",
        "/layers.11/Resize_output_0",
        "/layers.15/Resize_output_0",
    },
    "yolox_nano_416": {
        "onnx::MaxPool_853",
        "onnx::Concat_716",
        "onnx::Concat_895",
        "onnx::Concat_930",
    },
}


def graph_of(net: dict[str, Any], path: Path) -> Model:
    """The synthetic network again, with other weights."""
    rng = np.random.default_rng(0)
    constants = {name: _constant(value, rng) for name, value in net["constants"].items()}
    graph = helper.make_graph(
        [
            helper.make_node(op, read, made, name=f"{op}_{made[0]}", **more)
            for op, read, made, more in net["nodes"]
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, net["input"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in net["outputs"]],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())
    return load_model(path)


def _constant(value: Any, rng: np.random.Generator) -> NDArray[Any]:
    """Weights are kept as their shape; small constants, and sizes, which are integers, as they are."""
    if isinstance(value, dict):
        return np.asarray(rng.normal(size=tuple(value["shape"])), np.float32)
    is_size = all(type(number) is int for number in np.ravel(value).tolist())
    return np.asarray(value, np.int64 if is_size else np.float32)


def rounded_by_tensorrt(layers: Sequence[Any]) -> set[str]:
    """The tensors that layers of an engine read as INT8; a reformatted one is its source."""
    found = set()
    for _, kind, read, made in layers:
        integers = {tensor for tensor, kept_as in read if kept_as == "INT8"}
        if kind == REFORMAT and made[0][1] == "INT8" and made[0][0].startswith("Reformatted "):
            integers.add(read[0][0])
        found |= {tensor for tensor in integers if not tensor.startswith("Reformatted ")}
    return found


def planned(model: Model) -> dict[str, str | None]:
    return {point.tensor: point.tied_to for point in quant_points(model, TENSORRT_IMPLICIT).activations}


@pytest.mark.parametrize("name", [name for name in NETS if name.endswith(" 160")])
def test_large_layers_run_in_int8_where_the_scheme_says(name: str, tmp_path: Path) -> None:
    if name.split()[0] in OTHERWISE:
        pytest.skip("a scale was withheld, or TensorRT names the tensor itself")
    ours = planned(graph_of(NETS[name]["graph"], tmp_path / "net.onnx"))
    own = {tensor for tensor, tied_to in ours.items() if tied_to is None}
    theirs = rounded_by_tensorrt(NETS[name]["layers"])
    assert own <= theirs
    assert theirs <= own | {tensor for tensor, tied_to in ours.items() if tied_to} | VIEWS.get(name, set())


@pytest.mark.parametrize("model", OPEN)
@pytest.mark.parametrize("calibrator", ["minmax", "entropy2"])
def test_detectors_are_rounded_where_tensorrt_rounds_them(model: str, calibrator: str, shared: Path) -> None:
    ours = set(planned(load_model(shared / "models" / f"{model}.onnx")))
    theirs = rounded_by_tensorrt(MODELS[f"{model} {calibrator}"]["layers"])
    assert ours ^ theirs <= OPEN[model]


def test_small_layers_may_stay_float_as_a_whole() -> None:
    """What no graph shows: on an H200 these run in FP32 although every tensor has a scale."""
    kinds = {name: rounded_by_tensorrt(net["layers"]) for name, net in NETS.items() if name.endswith(" 40")}
    assert not kinds["conv_chain 40"]
    assert kinds["conv_linear 40"]
    assert rounded_by_tensorrt(NETS["conv_chain 160"]["layers"])


def test_the_precision_map_has_the_engines_layers(tmp_path: Path) -> None:
    model = graph_of(NETS["shufflenet_c48 160"]["graph"], tmp_path / "net.onnx")
    layers = precision_map(model, TENSORRT_IMPLICIT, quant_points(model, TENSORRT_IMPLICIT))
    assert [
        (" + ".join(layer.nodes), layer.computes, layer.writes, layer.reformatted) for layer in layers
    ] == [
        ("Conv_t1_conv + Relu_t2_relu", "INT8", "INT8", ("x",)),
        ("Conv_t4_conv + Relu_t5_relu", "INT8", "INT8", ()),
        ("Conv_t6_conv", "INT8", "INT8", ()),
        ("Conv_t7_conv + Relu_t8_relu", "INT8", "FP32", ()),
        ("Concat_t9_concat", "FP32", "FP32", ("t3_split_0",)),
        ("Reshape_t10_reshape", "FP32", "FP32", ()),
        ("Transpose_t11_transpose", "FP32", "FP32", ()),
        ("Reshape_t12_reshape", "FP32", "FP32", ()),
        ("Conv_t13_conv", "INT8", "FP32", ("t12_reshape",)),
    ]
    assert precision_map(model, TENSORRT, quant_points(model, TENSORRT)) == ()
