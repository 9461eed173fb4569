"""Weights that are computed from constants become constants, and what stays float is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx_graphs import GraphBuilder, run

from calibrant.core.schemes import ONNXRUNTIME, TENSORRT
from calibrant.models.onnx.kept_float import reasons_in_words
from calibrant.models.onnx.model import load_model, save_model
from calibrant.models.onnx.points import quant_points

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
HEAD = RANDOM.normal(size=(2, 4, 1, 1))
FEEDS = {"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)}


def cast_half(graph: GraphBuilder) -> str:
    graph.constant("w16", WEIGHT.astype(np.float16))
    return graph.node("Cast", ["w16"], "w", to=TensorProto.FLOAT)


def cast_double(graph: GraphBuilder) -> str:
    graph.constant("w64", WEIGHT.astype(np.float64))
    return graph.node("Cast", ["w64"], "w", to=TensorProto.FLOAT)


def reshaped(graph: GraphBuilder) -> str:
    graph.constant("flat", WEIGHT.ravel())
    graph.constant("dims", np.array(WEIGHT.shape))
    return graph.node("Reshape", ["flat", "dims"], "w")


def unsqueezed(graph: GraphBuilder) -> str:
    graph.constant("rows", RANDOM.normal(size=(4, 3)).astype(np.float32))
    graph.constant("axes", np.array([2, 3]))
    return graph.node("Unsqueeze", ["rows", "axes"], "w")


def scaled_and_turned(graph: GraphBuilder) -> str:
    """A batch normalization that was folded by hand, on weights stored the other way round."""
    graph.constant("turned", WEIGHT.transpose(2, 3, 1, 0))
    graph.constant("gamma", np.abs(RANDOM.normal(size=(4, 1, 1, 1))).astype(np.float32))
    graph.constant("eps", np.array(1e-3, np.float32))
    root = graph.node("Sqrt", [graph.node("Add", ["gamma", "eps"], "shifted")], "root")
    turned = graph.node("Transpose", ["turned"], "back", perm=[3, 2, 0, 1])
    return graph.node("Div", [graph.node("Mul", [turned, "gamma"], "product"), root], "w")


def joined(graph: GraphBuilder) -> str:
    graph.node("Constant", [], "first", value=numpy_helper.from_array(WEIGHT[:1]))
    graph.constant("second", WEIGHT[1:])
    return graph.node("Concat", ["first", "second"], "w", axis=0)


def gathered(graph: GraphBuilder) -> str:
    graph.constant("table", WEIGHT)
    graph.constant("order", np.array([3, 1, 0, 2]))
    return graph.node("Gather", ["table", "order"], "w", axis=0)


KINDS = [cast_half, cast_double, reshaped, unsqueezed, scaled_and_turned, joined, gathered]


def around(weight: Callable[[GraphBuilder], str]) -> GraphBuilder:
    graph = GraphBuilder()
    made = weight(graph)
    graph.node("Conv", [graph.input("x", [1, 3, 8, 8]), made], "a", name="first")
    graph.node("Relu", ["a"], "b")
    graph.conv("b", "c", (4, 2))
    graph.node("Neg", ["c"], graph.output("y", [1, 2, "h", "w"]))
    return graph


@pytest.mark.parametrize("weight", KINDS, ids=lambda kind: kind.__name__)
def test_a_computed_weight_is_quantized_and_computes_the_same(
    tmp_path: Path, weight: Callable[[GraphBuilder], str]
) -> None:
    path = around(weight).save(tmp_path / "m.onnx")
    model = load_model(path)
    assert "w" in model.ir.graph.initializers
    assert {node.op_type for node in model.ir.graph} == {"Conv", "Relu", "Neg"}
    assert set(model.ir.graph.initializers) == {"w", "c_w"}, "what is no longer read is gone"
    save_model(model.ir, tmp_path / "folded.onnx")
    np.testing.assert_array_equal(run(tmp_path / "folded.onnx", FEEDS)["y"], run(path, FEEDS)["y"])
    plan = quant_points(model, TENSORRT)
    assert [point.node for point in plan.weights] == ["first", "conv_c"]
    assert plan.why_float == {}
    assert model.is_as_in_file


def test_what_others_read_stays(tmp_path: Path) -> None:
    graph = around(reshaped)
    graph.node("Neg", ["flat"], graph.output("z", ["n"]))
    graph.node("Abs", ["w"], graph.output("v", [4, 3, 3, 3]))
    path = graph.save(tmp_path / "m.onnx")
    model = load_model(path)
    save_model(model.ir, tmp_path / "folded.onnx")
    expected = run(path, FEEDS)
    assert set(expected) == {"y", "z", "v"}
    for name, found in run(tmp_path / "folded.onnx", FEEDS).items():
        np.testing.assert_array_equal(found, expected[name])


def test_a_few_bytes_that_ask_for_gigabytes_are_not_computed(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.constant("one", np.ones((1, 1), np.float32))
    graph.constant("dims", np.array([60_000, 60_000]))
    graph.node("Expand", ["one", "dims"], "w")
    graph.node("MatMul", [graph.input("x", [1, 60_000]), "w"], graph.output("y", [1, 60_000]), name="huge")
    model = load_model(graph.save(tmp_path / "m.onnx"))
    plan = quant_points(model, TENSORRT)
    assert plan.why_float == {"huge": "the right input of MatMul is no constant but computed by Expand"}


def test_random_weights_stay(tmp_path: Path) -> None:
    graph = around(lambda graph: graph.node("RandomNormal", [], "w", shape=[4, 3, 3, 3]))
    plan = quant_points(load_model(graph.save(tmp_path / "m.onnx")), TENSORRT)
    assert list(plan.why_float) == ["first"]


def test_every_layer_that_stays_float_has_its_reason(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 4, 8, 8]), "a", (4, 4))
    graph.conv("a", "asked", (4, 4))
    graph.node("MatMul", ["asked", "a"], "attention", name="attention")
    graph.node("MatMul", [graph.weight("left", 8, 8), "attention"], "l", name="left_constant")
    graph.constant("double", RANDOM.normal(size=(8, 8)))
    graph.node("Cast", ["l"], "l64", to=TensorProto.DOUBLE)
    graph.node("MatMul", ["l64", "double"], "d", name="in_double")
    graph.node("Cast", ["d"], "d32", to=TensorProto.FLOAT)
    graph.node("MatMul", ["d32", graph.weight("vector", 8)], "v", name="vector")
    graph.node("ConvTranspose", ["a", graph.weight("up_w", 4, 4, 2, 2)], "up", name="up", strides=[2, 2])
    graph.output("v", [1, 4, 8])
    graph.output("up", [1, 4, 16, 16])
    model = load_model(graph.save(tmp_path / "m.onnx"))
    found = quant_points(model, ONNXRUNTIME, exclude=["conv_asked"]).why_float
    words = {
        "conv_asked": "asked for",
        "attention": "no constant but computed by Conv",
        "left_constant": "the left input is constant in MatMul",
        "in_double": "the weight of MatMul is double; export it in float32",
        "vector": "fewer than two dimensions",
        "up": "scheme onnxruntime does not quantize ConvTranspose",
    }
    assert set(found) == set(words)
    for node, part in words.items():
        assert part in found[node]
    assert len(reasons_in_words(found)) == len(words)


def test_layers_with_one_reason_are_one_line() -> None:
    assert reasons_in_words({"a": "it is so", "b": "it is so"}) == ["2 layers stay float: it is so (a, …)"]
    assert reasons_in_words({}) == []


class TestHalf:
    """``half=True`` exports."""

    def model(self, folder: Path, **more: Any) -> Path:
        graph = GraphBuilder()
        half = TensorProto.FLOAT16
        graph.constant("w", WEIGHT.astype(np.float16))
        graph.constant("v", HEAD.astype(np.float16))
        graph.node("Conv", [graph.input("x", [1, 3, 8, 8], half), "w"], "a", name="first")
        graph.node("Cast", ["a"], "a32", to=TensorProto.FLOAT)
        graph.node("Relu", ["a32"], "b32", name="relu")
        graph.node("Cast", ["b32"], "b", to=half)
        graph.node("Conv", ["b", "v"], graph.output("y", [1, 2, 6, 6], half), name="second")
        if more.get("unsorted"):
            graph.nodes = [*graph.nodes[3:], *graph.nodes[:3]]
        return graph.save(folder / "half.onnx")

    @pytest.mark.parametrize("unsorted", [False, True])
    def test_is_read_as_float32_under_the_same_names(self, tmp_path: Path, unsorted: bool) -> None:
        path = self.model(tmp_path, unsorted=unsorted)
        model = load_model(path)
        assert [node.op_type for node in model.ir.graph] == ["Conv", "Relu", "Conv"]
        assert [value.name for value in model.ir.graph.inputs] == ["x"]
        assert not model.is_as_in_file
        assert "half=True" in model.remarks[0]
        save_model(model.ir, tmp_path / "full.onnx")
        onnx.checker.check_model(str(tmp_path / "full.onnx"), full_check=True)
        expected = run(self.model(tmp_path), {"x": FEEDS["x"].astype(np.float16)})["y"]
        found = run(tmp_path / "full.onnx", FEEDS)["y"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=3e-2)
        assert len(quant_points(model, TENSORRT).weights) == 2

    def test_a_float32_model_stays_as_it_is(self, tmp_path: Path) -> None:
        model = load_model(around(cast_half).save(tmp_path / "m.onnx"))
        assert model.is_as_in_file
        assert model.remarks == ()
