from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx_graphs import GraphBuilder

from calibrant.models.onnx.model import Model, load_model
from calibrant.models.onnx.tensor_facts import TensorFacts, equalizing_bits, facts_of

CHANNELS = 4


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """x, doubled by a Concat of itself, a SiLU, a depthwise convolution, a Concat of both, and the head."""
    graph = GraphBuilder()
    graph.input("x", [1, 1, 4, 4])
    graph.node("Concat", ["x", "x"], "doubled", axis=1)
    graph.conv("doubled", "stemmed", (2, CHANNELS))
    graph.node("Sigmoid", ["stemmed"], "gate")
    graph.node("Mul", ["gate", "stemmed"], "gated")
    graph.conv("gated", "deep", (1, CHANNELS), group=CHANNELS)
    graph.node("Concat", ["gated", "deep"], "joined", axis=1)
    graph.conv("joined", graph.output("y", [1, 2, 4, 4]), (2 * CHANNELS, 2))
    return load_model(graph.save(tmp_path / "net.onnx"))


def fact(model: Model, tensor: str) -> TensorFacts:
    return facts_of(model, [tensor])[tensor]


def test_what_only_moves_the_input_is_the_input(model: Model) -> None:
    assert fact(model, "x").is_input
    assert fact(model, "doubled").is_input
    assert not fact(model, "stemmed").is_input


def test_silu_is_recognised_by_its_own_sigmoid(model: Model) -> None:
    assert fact(model, "gated").is_gated
    assert not fact(model, "stemmed").is_gated
    assert not fact(model, "gate").is_gated


def test_a_concat_names_its_parts_with_their_channels(model: Model) -> None:
    assert fact(model, "joined").parts == (("gated", CHANNELS), ("deep", CHANNELS))
    assert fact(model, "gated").parts == ()


def test_readers_are_told_by_what_they_do(model: Model) -> None:
    assert fact(model, "gated").depthwise_readers == ("conv_deep",)
    assert fact(model, "joined").head_readers == ("conv_y",)
    assert fact(model, "joined").depthwise_readers == ()
    assert fact(model, "doubled").head_readers == ()


def test_equal_channels_cost_no_bits_and_a_channel_that_stands_out_many(model: Model) -> None:
    known = fact(model, "gated")
    even = np.ones(CHANNELS, np.float32)
    assert equalizing_bits(model, known, even) == pytest.approx(0, abs=1e-6)
    assert equalizing_bits(model, known, np.array([100, 1, 1, 1], np.float32)) > 1
    assert equalizing_bits(model, fact(model, "joined"), np.ones(8, np.float32)) == 0


def test_large_weights_on_small_channels_cost_more(model: Model) -> None:
    amax = np.array([0.01, 1, 1, 1], np.float32)
    known = fact(model, "gated")
    before = equalizing_bits(model, known, amax)
    weight = model.ir.graph.initializers["deep_w"]
    assert weight.const_value is not None
    large = weight.const_value.numpy().copy()
    large[0] *= 1000
    weight.const_value = ir.tensor(large, name="deep_w")
    assert equalizing_bits(model, known, amax) > before + 4
