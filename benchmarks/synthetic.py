"""A float model of any size: stages of 3x3 convolutions with SiLU, each at half the last one's resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES, LAYERS = 5, 3


def synthetic(path: Path, side: int, width: int) -> Path:
    """Write a model for images of ``side`` pixels that begins with ``width`` channels and doubles them."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    tensor, channels = "images", 3
    for stage in range(STAGES):
        for layer in range(LAYERS):
            out = width << stage
            name = f"conv_{stage}_{layer}"
            fan = channels * 9
            kernel = rng.normal(0, np.sqrt(2 / fan), (out, channels, 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(kernel, f"{name}_weight"))
            stride = 2 if layer == 0 else 1
            nodes += [
                helper.make_node("Conv", [tensor, f"{name}_weight"], [name], name,
                                 pads=[1] * 4, strides=[stride] * 2),
                helper.make_node("Sigmoid", [name], [f"{name}_gate"], f"{name}_sigmoid"),
                helper.make_node("Mul", [name, f"{name}_gate"], [f"{name}_out"], f"{name}_mul"),
            ]  # fmt: skip
            tensor, channels = f"{name}_out", out
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])
    left = side >> STAGES
    result = helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, channels, left, left])
    graph = helper.make_graph(nodes, "synthetic", [image], [result], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
