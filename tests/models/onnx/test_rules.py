"""TensorRT's rules for explicit quantization: what keeps them, and what breaks exactly one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, load_small_detector, wide_encodings

from calibrant.core.schemes import TENSORRT
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.rules import RULES, Violation, violations

Break = Callable[["Layer"], None]

SHAPES = {
    "Conv": ((1, 4, 8, 8), (6, 4, 3, 3)),
    "ConvTranspose": ((1, 4, 8, 8), (4, 6, 2, 2)),
    "MatMul": ((3, 4), (4, 6)),
    "Gemm": ((3, 4), (4, 6)),
}
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}


class Layer:
    """One quantized layer, x -> Q -> DQ -> layer -> y; a test changes a part before it is built."""

    def __init__(self, op_type: str = "Conv") -> None:
        data, weight = SHAPES[op_type]
        axis = OUTPUT_AXIS[op_type]
        self.opset = 13
        self.scale: Any = np.float32(0.1)
        self.zero_point: Any = np.int8(0)
        self.weight: Any = np.ones(weight, np.int8)
        self.weight_scale: Any = np.full(weight[axis], 0.1, np.float32)
        self.weight_zero_point: Any = np.zeros(weight[axis], np.int8)
        self.axis = {"axis": axis}
        self.graph = graph = GraphBuilder()
        graph.output("y", [])
        self.quantize = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize")
        self.dequantize = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dequantize")
        self.weights = helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"], name="weights")
        self.layer = helper.make_node(op_type, ["d", "w"], ["y"], name="layer")
        graph.input("x", data)
        graph.nodes = [self.quantize, self.dequantize, self.weights, self.layer]

    def model(self) -> ir.Model:
        """The layer as a model; what a test has defined itself gets no constant."""
        constants = {
            "s": self.scale,
            "z": self.zero_point,
            "w_q": self.weight,
            "w_s": self.weight_scale,
            "w_z": self.weight_zero_point,
        }
        defined = {tensor.name for tensor in self.graph.initializers}
        defined |= {value.name for value in self.graph.inputs}
        for name in constants.keys() - defined:
            self.graph.constant(name, np.asarray(constants[name]))
        self.weights.attribute.extend(helper.make_attribute(*item) for item in self.axis.items())
        return ir.from_proto(self.graph.model(self.opset))


def broken(break_it: Break, op_type: str = "Conv") -> tuple[Violation, ...]:
    layer = Layer(op_type)
    break_it(layer)
    return violations(layer.model())


def set_(**parts: Any) -> Break:
    def change(layer: Layer) -> None:
        for name, value in parts.items():
            setattr(layer, name, value)

    return change


def without_zero_point(layer: Layer) -> None:
    del layer.quantize.input[2], layer.dequantize.input[2]


def computed(name: str, dtype: int) -> Break:
    def change(layer: Layer) -> None:
        layer.graph.input(name, [], dtype)

    return change


def quantized_bias(layer: Layer) -> None:
    layer.graph.constant("b_q", np.zeros(6, np.int8))
    layer.graph.nodes.insert(0, helper.make_node("DequantizeLinear", ["b_q", "s", "z"], ["b"], name="bias"))
    layer.layer.input.append("b")


def int4_activation(layer: Layer) -> None:
    layer.opset = 21
    layer.graph.initializers.append(helper.make_tensor("z", TensorProto.INT4, [], [0]))


def float_data(layer: Layer) -> None:
    layer.graph.nodes = [layer.weights, layer.layer]
    layer.layer.input[0] = "x"


def float_weights(layer: Layer) -> None:
    layer.graph.nodes.remove(layer.weights)
    layer.graph.constant("w", np.ones((6, 4, 3, 3), np.float32))


def read_as_integers(op_type: str) -> Break:
    def change(layer: Layer) -> None:
        layer.graph.nodes.append(helper.make_node(op_type, ["q"], ["stray_out"], name="stray"))

    return change


def shown_as_integers(layer: Layer) -> None:
    layer.graph.output("q", [1, 4, 8, 8], TensorProto.INT8)


def renamed(op_type: str, domain: str = "") -> Break:
    def change(layer: Layer) -> None:
        layer.graph.nodes.append(
            helper.make_node(op_type, ["x", "s", "z"], ["other"], name="other", domain=domain)
        )

    return change


BREAKS: dict[str, tuple[str, Break, str]] = {
    "opset 12": ("the opset knows the types", set_(opset=12), ""),
    "QLinearConv": ("operators are known", renamed("QLinearConv"), "other"),
    "a vendor's Q": ("operators are known", renamed("QuantizeLinear", "com.microsoft"), "other"),
    "uint8": ("types are signed", set_(zero_point=np.uint8(0)), "quantize"),
    "uint8 weights": (
        "types are signed",
        set_(weight=np.ones((6, 4, 3, 3), np.uint8), weight_zero_point=np.zeros(6, np.uint8)),
        "weights",
    ),
    "no zero point": ("types are signed", without_zero_point, "quantize"),
    "int4 data": ("int4 is for weights", int4_activation, "quantize"),
    "a zero point": ("zero points are zero", set_(zero_point=np.int8(3)), "quantize"),
    "a weight's zero point": (
        "zero points are zero",
        set_(weight_zero_point=np.array([0, 0, 0, 0, 0, 1], np.int8)),
        "weights",
    ),
    "a computed zero point": ("zero points are zero", computed("z", TensorProto.INT8), "quantize"),
    "a computed scale": ("scales are positive", computed("s", TensorProto.FLOAT), "quantize"),
    "scale 0": ("scales are positive", set_(scale=np.float32(0)), "quantize"),
    "scale inf": ("scales are positive", set_(scale=np.float32(np.inf)), "quantize"),
    "scale nan": ("scales are positive", set_(scale=np.float32(np.nan)), "quantize"),
    "a weight scale below 0": (
        "scales are positive",
        set_(weight_scale=np.array([1, 1, 1, 1, 1, -1], np.float32)),
        "weights",
    ),
    "scale by channel": (
        "activations are per tensor",
        set_(scale=np.full(4, 0.1, np.float32), zero_point=np.zeros(4, np.int8)),
        "quantize",
    ),
    "weights by input channel": (
        "weights are per output channel",
        set_(weight_scale=np.ones(4, np.float32), weight_zero_point=np.zeros(4, np.int8), axis={"axis": 1}),
        "layer",
    ),
    "weights by the default axis": (
        "weights are per output channel",
        set_(weight_scale=np.ones(4, np.float32), weight_zero_point=np.zeros(4, np.int8), axis={}),
        "layer",
    ),
    "a bias": ("biases are float", quantized_bias, "layer"),
    "Sigmoid of integers": ("quantized values are dequantized", read_as_integers("Sigmoid"), "quantize"),
    "integers as output": ("quantized values are dequantized", shown_as_integers, "quantize"),
    "float data": ("layers are quantized on both sides", float_data, "layer"),
    "float weights": ("layers are quantized on both sides", float_weights, "layer"),
}


@pytest.mark.parametrize(("rule", "break_it", "node"), BREAKS.values(), ids=BREAKS)
def test_each_breach_is_told_by_its_rule_alone(rule: str, break_it: Break, node: str) -> None:
    found = broken(break_it)
    assert {violation.rule for violation in found} == {rule}
    assert found[0].node == node
    assert "; " in str(found[0])
    assert "\n" not in str(found[0])


def test_every_rule_is_broken_above() -> None:
    assert {rule for rule, _, _ in BREAKS.values()} == set(RULES)


@pytest.mark.parametrize("op_type", SHAPES)
def test_weights_by_output_channel_keep_the_rules(op_type: str) -> None:
    assert broken(set_(), op_type) == ()
    axis, rank = OUTPUT_AXIS[op_type], len(SHAPES[op_type][1])
    assert broken(set_(axis={"axis": axis - rank}), op_type) == ()


@pytest.mark.parametrize("op_type", SHAPES)
def test_weights_by_another_axis_break_them(op_type: str) -> None:
    axis = 1 - OUTPUT_AXIS[op_type]
    channels = SHAPES[op_type][1][axis]
    by_other_axis = set_(
        weight_scale=np.ones(channels, np.float32),
        weight_zero_point=np.zeros(channels, np.int8),
        axis={"axis": axis},
    )
    assert [violation.rule for violation in broken(by_other_axis, op_type)] == [
        "weights are per output channel"
    ]


def test_one_scale_for_all_weights_is_allowed() -> None:
    one_scale = set_(weight_scale=np.float32(0.1), weight_zero_point=np.int8(0), axis={})
    assert broken(one_scale) == ()


@pytest.mark.parametrize("op_type", ["MaxPool", "Reshape", "Concat"])
def test_operators_that_only_move_values_may_read_integers(op_type: str) -> None:
    assert broken(read_as_integers(op_type)) == ()


@pytest.mark.parametrize("float_weights", [False, True])
def test_what_with_qdq_makes_keeps_the_rules(tmp_path: Path, float_weights: bool) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    quantized = with_qdq(model, plan, wide_encodings(plan), TENSORRT, float_weights=float_weights)
    assert violations(quantized) == ()
    assert violations(model.ir) == ()


def test_a_violation_reads_as_one_sentence() -> None:
    (found, *_) = broken(set_(scale=np.float32(0)))
    assert str(found) == "'quantize' ('s') has a scale of 0; give a finite one above 0"
