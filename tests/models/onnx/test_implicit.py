"""Where TensorRT rounds by itself, against the layers of 93 engines (8.5.1.7, H200)."""

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
LATER = json.loads((GOLDEN / "tensorrt-8.5.1.7-implicit-later.json").read_text("utf-8"))
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
# Built after the rule had been written down. In UltraFace: convolutions of one tensor that TensorRT makes one
# of, and depthwise-separable ones, whose inner tensor no layer shows.
OPEN_LATER = {
    "yolov5n_640 minmax": {
        "/layers.4/cv3/act/Mul_output_0",
        "/layers.6/cv3/act/Mul_output_0",
        "/layers.11/Resize_output_0",
        "/layers.15/Resize_output_0",
    },
    "yolov5n_640 entropy2": {"/layers.11/Resize_output_0", "/layers.15/Resize_output_0"},
    "other/road_segmentation minmax": set[str](),
    "other/ultraface-RFB-320 minmax": {
        *("268", "345", "351", "357", "391", "285", "292", "299"),
        "node_of_284 + node_of_285 || node_of_291 + node_of_292 || node_of_298 + node_of_299",
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


@pytest.mark.parametrize("engine", OPEN_LATER)
def test_engines_built_later_are_rounded_where_the_rule_says(engine: str, shared: Path) -> None:
    ours = planned(load_model(shared / "models" / f"{engine.split()[0]}.onnx"))
    theirs = set(LATER[engine]["rounded"])
    copies = {tensor for tensor, tied_to in ours.items() if tied_to is not None and tensor not in theirs}
    assert (set(ours) - copies) ^ theirs <= OPEN_LATER[engine]


@pytest.mark.parametrize("engine", sorted(set(LATER) - set(OPEN_LATER)))
def test_fast_gpus_leave_more_in_float_and_round_nothing_else(engine: str, shared: Path) -> None:
    ours = planned(load_model(shared / "models" / f"{engine.split()[0]}.onnx"))
    assert LATER[engine]["in FP32"]
    assert set(LATER[engine]["rounded"]) < set(ours)


def conv(made: str, read: str, size: int = 1) -> onnx.NodeProto:
    return helper.make_node("Conv", [read, f"w_{made}"], [made], name=made, pads=[size // 2] * 4)


def network(path: Path, nodes: Sequence[onnx.NodeProto], out: str, **constants: NDArray[Any]) -> Model:
    """1x8x16x16 in; a weight w_NAME is 8 by 8 unless it is given."""
    weights = {f"w_{node.name}" for node in nodes if node.op_type == "Conv"}
    arrays = {name: np.full((8, 8, 1, 1), 0.1, np.float32) for name in sorted(weights)} | constants
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())
    return load_model(path)


def test_the_convolution_with_more_weights_takes_in_the_sum(tmp_path: Path) -> None:
    """Seen in 15 sums of two convolutions, in four networks; the other's result is rounded."""
    nodes = [
        conv("small", "x"),
        conv("large", "x", size=3),
        helper.make_node("Add", ["small", "large"], ["sum"], name="sum"),
        conv("out", "sum"),
    ]
    large = np.full((8, 8, 3, 3), 0.1, np.float32)
    assert set(planned(network(tmp_path / "net.onnx", nodes, "out", w_large=large))) == {"x", "small", "sum"}
    equals = network(tmp_path / "equal.onnx", [conv("small", "x"), conv("large", "x"), *nodes[2:]], "out")
    assert set(planned(equals)) == {"x", "large", "sum"}  # of equals the first addend's


def test_rectified_addends_are_rounded_before_a_sum(tmp_path: Path) -> None:
    nodes = [
        conv("a", "x"),
        helper.make_node("Relu", ["a"], ["a_relu"], name="a_relu"),
        conv("b", "x"),
        helper.make_node("Relu", ["b"], ["b_relu"], name="b_relu"),
        helper.make_node("Add", ["a_relu", "b_relu"], ["first"], name="first"),
        helper.make_node("Add", ["first", "x"], ["second"], name="second"),
        conv("out", "second"),
    ]
    rounded = set(planned(network(tmp_path / "net.onnx", nodes, "out")))
    assert rounded == {"x", "a_relu", "b_relu", "second"}  # both sums are one layer


@pytest.mark.parametrize(("value", "is_absorbed"), [(0.0, True), (1.0, False)])
def test_a_pad_of_zeros_is_its_convolutions_own(value: float, is_absorbed: bool, tmp_path: Path) -> None:
    nodes = [
        conv("first", "x"),
        helper.make_node("Pad", ["first", "sizes", "value"], ["padded"], name="padded"),
        conv("out", "padded"),
    ]
    sizes = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    model = network(tmp_path / "net.onnx", nodes, "out", sizes=sizes, value=np.array(value, np.float32))
    absorbed = {"x": None, "first": None, "padded": "first"}
    assert planned(model) == (absorbed if is_absorbed else {"x": None, "padded": None})


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
