"""A network with everything that facts tell apart, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibrant.models.onnx.model import Model, load_model

CHANNELS = 4


def small_net(folder: Path) -> Model:
    """x, doubled by a Concat of itself, a SiLU, a depthwise convolution, a Concat of both, and the head."""
    random = np.random.default_rng(0)
    depthwise = random.normal(0, 1, (CHANNELS, 1, 1, 1)).astype(np.float32)
    depthwise[0] *= 100
    weights = {
        "stem_w": random.normal(0, 1, (CHANNELS, 2, 1, 1)).astype(np.float32),
        "deep_w": depthwise,
        "head_w": random.normal(0, 1, (2, 2 * CHANNELS, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["doubled"], name="focus", axis=1),
        helper.make_node("Conv", ["doubled", "stem_w"], ["stemmed"], name="stem"),
        helper.make_node("Sigmoid", ["stemmed"], ["gate"], name="gate"),
        helper.make_node("Mul", ["gate", "stemmed"], ["gated"], name="silu"),
        helper.make_node("Conv", ["gated", "deep_w"], ["deep"], name="deep", group=CHANNELS),
        helper.make_node("Concat", ["gated", "deep"], ["joined"], name="join", axis=1),
        helper.make_node("Conv", ["joined", "head_w"], ["y"], name="head"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    path = folder / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)
