"""Which tensors a TensorRT cache names: small networks whose caches TensorRT 8.5.1.7 wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import GraphBuilder, run

from calibrant.models.onnx.model import Model, load_model, save_model
from calibrant.models.onnx.probe import with_outputs
from calibrant.targets.tensorrt.inner import with_inner_tensors
from calibrant.targets.tensorrt.tensors import CalibratedTensors, calibrated_tensors

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "tensorrt-8.5.1.7-names.json"
RECORDED: dict[str, dict[str, list[str]]] = json.loads(GOLDEN.read_text())["networks"]
CHANNELS = 8

Build = Callable[[GraphBuilder], None]


def image(graph: GraphBuilder) -> None:
    graph.input("x", [1, CHANNELS, 32, 32])


def conv(graph: GraphBuilder, source: str, output: str, kernel: int = 3, channels: int = CHANNELS) -> None:
    graph.conv(source, output, (channels, CHANNELS), kernel)


def values(graph: GraphBuilder, name: str, *shape: int) -> str:
    return graph.constant(name, np.linspace(0.5, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape))


def between_convolutions(*ops: str) -> Build:
    def build(graph: GraphBuilder) -> None:
        conv(graph, "x", "c1")
        for op in ops:
            graph.node(op, ["c1"], "a1")
        conv(graph, "a1", "c2")
        graph.output("c2", [1, CHANNELS, 32, 32])

    return build


def silu(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Sigmoid", ["c1"], "s1")
    graph.node("Mul", ["c1", "s1"], "a1")
    conv(graph, "a1", "c2")
    graph.output("c2", [1, CHANNELS, 32, 32])


def prelu(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("PRelu", ["c1", values(graph, "slope", CHANNELS, 1, 1)], "a1")
    conv(graph, "a1", "c2")
    graph.output("c2", [1, CHANNELS, 32, 32])


def hard_sigmoid_by_hand(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    three, zero, six = (
        graph.constant(n, np.array(v, np.float32)) for n, v in (("w1", 3), ("w2", 0), ("w3", 6))
    )
    graph.node("Add", ["c1", three], "d1")
    graph.node("Clip", ["d1", zero, six], "e1")
    graph.node("Mul", ["c1", "e1"], "m1")
    graph.node("Div", ["m1", graph.constant("w4", np.array(6, np.float32))], "a1")
    conv(graph, "a1", "c2")
    graph.output("c2", [1, CHANNELS, 32, 32])


def residual_sums(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Add", ["x", "x"], "s0")
    graph.node("Add", ["c1", "s0"], "s1")
    graph.node("Add", ["s1", "x"], "s2")
    conv(graph, "s2", "c2")
    graph.output("c2", [1, CHANNELS, 32, 32])


def constants(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Mul", ["c1", graph.constant("two", np.array(2, np.float32))], "m1")
    graph.node("Add", ["m1", values(graph, "by_channel", 1, CHANNELS, 1, 1)], "s1")
    graph.node("Sub", ["s1", values(graph, "one_value", 1)], "d1")
    graph.node("Add", ["d1", values(graph, "full", 1, CHANNELS, 32, 32)], "s2")
    graph.node("Pow", ["s2", graph.constant("square", np.array(2, np.float32))], "p1")
    graph.node("Mul", [values(graph, "lower_rank", CHANNELS, 1, 1), "p1"], "m2")
    conv(graph, "m2", "c2")
    graph.output("c2", [1, CHANNELS, 32, 32])


def scaled_convolutions(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Mul", ["c1", values(graph, "factor", 1, CHANNELS, 1, 1)], "m1")
    conv(graph, "m1", "c2")
    graph.node("Add", ["c2", values(graph, "shift", 1, CHANNELS, 1, 1)], "s1")
    graph.node("Relu", ["s1"], "a1")
    conv(graph, "a1", "c3")
    statistics = [values(graph, name, CHANNELS) for name in ("gamma", "beta", "mean", "variance")]
    graph.node("BatchNormalization", ["c3", *statistics], "b1")
    graph.node("Relu", ["b1"], "a2")
    conv(graph, "a2", "c4")
    graph.output("c4", [1, CHANNELS, 32, 32])


def nested_concats(graph: GraphBuilder) -> None:
    for index, kernel in ((1, 3), (2, 1)):
        conv(graph, "x", f"c{index}", kernel)
        graph.node("Relu", [f"c{index}"], f"a{index}")
    graph.node("Concat", ["a1", "a2"], "k1", axis=1)
    conv(graph, "x", "c3", 1)
    graph.node("Concat", ["k1", "c3"], "k2", axis=1)
    conv(graph, "k2", "c9", channels=3 * CHANNELS)
    graph.output("c9", [1, CHANNELS, 32, 32])


def pooled_concat(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Relu", ["c1"], "a1")
    for size in (3, 5):
        graph.node("MaxPool", ["a1"], f"p{size}", kernel_shape=[size, size], pads=[size // 2] * 4)
    graph.node("Concat", ["a1", "p3", "p5"], "k1", axis=1)
    conv(graph, "k1", "c2", channels=3 * CHANNELS)
    graph.output("c2", [1, CHANNELS, 32, 32])


def classifier(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Relu", ["c1"], "a1")
    graph.node("ReduceMean", ["a1"], "g1", axes=[2, 3], keepdims=0)
    graph.node("Gemm", ["g1", graph.weight("w1", CHANNELS, 10), graph.weight("w2", 10)], "y1")
    graph.node("Relu", ["y1"], "a2")
    graph.node("MatMul", ["a2", graph.weight("w3", 10, 5)], "y2")
    graph.node("Softmax", ["y2"], "y3", axis=1)
    graph.output("y3", [1, 5])


def box_distribution(graph: GraphBuilder) -> None:
    graph.conv("x", "c1", (CHANNELS, 32))
    graph.node("Reshape", ["c1", graph.constant("shape1", np.array([1, 4, 8, 1024]))], "r1")
    graph.node("Transpose", ["r1"], "t1", perm=[0, 3, 1, 2])
    graph.node("Softmax", ["t1"], "s1", axis=3)
    bins = graph.constant("bins", np.arange(8, dtype=np.float32).reshape(8, 1))
    graph.node("MatMul", ["s1", bins], "y1")
    graph.node("Reshape", ["y1", graph.constant("shape2", np.array([1, 1024, 4]))], "r2")
    graph.node("Mul", ["r2", graph.constant("stride", np.array([8], np.float32))], "m1")
    graph.output("m1", [1, 1024, 4])


def upsampled(graph: GraphBuilder) -> None:
    conv(graph, "x", "c1")
    graph.node("Relu", ["c1"], "a1")
    graph.node("ConvTranspose", ["a1", graph.weight("w", CHANNELS, CHANNELS, 2, 2)], "t1", strides=[2, 2])
    graph.node("Relu", ["t1"], "a2")
    graph.node("DepthToSpace", ["a2"], "e1", blocksize=2)
    conv(graph, "e1", "c2", channels=2)
    graph.node("SpaceToDepth", ["c2"], "e2", blocksize=2)
    graph.output("e2", [1, 4 * CHANNELS, 64, 64])


NETWORKS: dict[str, Build] = {
    "act_Relu": between_convolutions("Relu"),
    "act_LeakyRelu": between_convolutions("LeakyRelu"),
    "act_Identity": between_convolutions("Identity"),
    "act_HardSwish": between_convolutions("HardSwish"),
    "act_SiLU": silu,
    "act_PRelu": prelu,
    "act_HSig6": hard_sigmoid_by_hand,
    "add3": residual_sums,
    "const": constants,
    "constconv": scaled_convolutions,
    "cat_nest": nested_concats,
    "cat_pools": pooled_concat,
    "gap_fc": classifier,
    "dist": box_distribution,
    "deconv": upsampled,
}


def built(name: str, folder: Path) -> Model:
    graph = GraphBuilder()
    image(graph)
    NETWORKS[name](graph)
    return load_model(graph.save(folder / "m.onnx", opset=14 if name == "act_HardSwish" else 13))


def tensors(name: str, folder: Path) -> CalibratedTensors:
    return calibrated_tensors(built(name, folder))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("algorithm", ["minmax", "entropy2", "entropy", "legacy"])
def test_a_cache_names_just_these(name: str, algorithm: str, tmp_path: Path) -> None:
    found = tensors(name, tmp_path).for_algorithm(algorithm)
    assert sorted(found) == RECORDED[name][algorithm]


def test_constants_bring_their_values(tmp_path: Path) -> None:
    found = tensors("const", tmp_path)
    rank_zero = found.constants["(Unnamed Layer* 2) [Shuffle]_output"]
    assert (rank_zero.tolist(), len(found.constants)) == (2.0, 8)


def test_unnamed_tensors_show_where_their_values_are(tmp_path: Path) -> None:
    assert tensors("dist", tmp_path).sources["(Unnamed Layer* 3) [Softmax]_output"] == "s1"
    assert tensors("deconv", tmp_path).sources["(Unnamed Layer* 4) [Shuffle]_output"] == "a2"


def test_every_other_tensor_is_its_own_source(tmp_path: Path) -> None:
    found = tensors("act_SiLU", tmp_path)
    assert found.sources == {name: name for name in ("x", "c1", "s1", "a1", "c2")}
    assert not found.constants


@pytest.mark.parametrize(("name", "inner"), [
    ("act_HardSwish", "(Unnamed Layer* 1) [Activation]_output"),
    ("gap_fc", "(Unnamed Layer* 4) [Matrix Multiply]_output"),
])  # fmt: skip
def test_tensors_inside_an_operator_can_be_computed(name: str, inner: str, tmp_path: Path) -> None:
    model = built(name, tmp_path)
    assert inner not in calibrated_tensors(model).sources
    found = calibrated_tensors(with_inner_tensors(model))
    assert found.sources[inner] == inner
    assert found.parsed == calibrated_tensors(model).parsed


def test_inner_tensors_have_the_values_between_tensorrts_layers(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [2, 3])
    shift = np.array([0.5, -1, 2, 0], np.float32)
    bias = graph.constant("b", shift)
    graph.node("Gemm", ["x", graph.weight("w", 4, 3), bias], "dense", transB=1)
    graph.node("HardSwish", ["dense"], "swish")
    graph.output(graph.node("Max", ["swish", "dense", bias], "y"), [2, 4])
    model = with_inner_tensors(load_model(graph.save(tmp_path / "m.onnx", opset=14)))
    unnamed = [source for source in calibrated_tensors(model).sources.values() if source.startswith("(")]
    wanted = [*unnamed, "dense", "swish"]
    data = np.linspace(-3, 3, 6, dtype=np.float32).reshape(2, 3)
    save_model(with_outputs(model, wanted), tmp_path / "probed.onnx")
    values = run(tmp_path / "probed.onnx", {"x": data})
    product, gate, larger = (values[name] for name in unnamed)
    np.testing.assert_allclose(product + shift, values["dense"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gate * values["dense"], values["swish"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(larger, np.maximum(values["swish"], values["dense"]))


def test_what_reaches_no_output_is_not_named(tmp_path: Path) -> None:
    graph = GraphBuilder()
    image(graph)
    silu(graph)
    graph.node("Relu", ["a1"], "unused")
    found = calibrated_tensors(load_model(graph.save(tmp_path / "m.onnx")))
    assert "unused" not in found.parsed


def test_integers_and_constants_that_are_no_numbers_have_no_values(tmp_path: Path) -> None:
    graph = GraphBuilder()
    image(graph)
    graph.node("Min", ["x", graph.constant("ceiling", np.full((1, 1, 1, 1), np.inf, np.float32))], "m1")
    graph.node("Gather", ["m1", graph.constant("rows", np.array([0, 2]))], "g1", axis=2)
    graph.output("g1", [1, CHANNELS, 2, 32])
    found = calibrated_tensors(load_model(graph.save(tmp_path / "m.onnx")))
    assert found.parsed == ("x", "(Unnamed Layer* 0) [Constant]_output", "m1", "g1")
    assert not found.constants
