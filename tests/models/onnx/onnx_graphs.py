"""A few lines to write small ONNX graphs with, for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.quantize import dequantized, encoding_of, quantized
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import Encoding, QuantSpec, Range
from calibrant.models.onnx.model import Model, load_model, save_model
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.probe import with_outputs

FloatArray = NDArray[np.float32]
Shape = Sequence[int | str | None]


class GraphBuilder:
    """Collects nodes and weights; tensor names are returned so that calls can be nested."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        return self.constant(name, self.random.normal(size=shape).astype(np.float32))

    def node(
        self, op_type: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any
    ) -> str:
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=name, **attributes))
        return output

    def conv(self, source: str, output: str, channels: tuple[int, int], kernel: int = 1, **more: Any) -> str:
        """A convolution ``conv_<output>`` from channels[0] to channels[1] with weight ``<output>_w``."""
        weight = self.weight(f"{output}_w", channels[1], channels[0], kernel, kernel)
        pads = [kernel // 2] * 4
        return self.node("Conv", [source, weight], output, name=f"conv_{output}", pads=pads, **more)

    def model(self, opset: int = 13, ir_version: int = 8) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)

    def save(self, path: Path, opset: int = 13, ir_version: int = 8) -> Path:
        onnx.save(self.model(opset, ir_version), str(path))
        return path


def small_detector(seed: int = 0) -> GraphBuilder:
    """Two convolutions with a residual Add and a one-convolution head: x 1x3x8x8 to out 1x5x8x8."""
    graph = GraphBuilder(seed)
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 4), kernel=3)
    graph.node("Relu", ["a"], "b", name="relu")
    graph.conv("b", "c", (4, 4), kernel=3)
    graph.node("Add", ["b", "c"], "d", name="add")
    graph.conv("d", "e", (4, 5))
    graph.node("Sigmoid", ["e"], "out", name="sigmoid")
    graph.output("out", [1, 5, 8, 8])
    return graph


def load_small_detector(folder: Path, seed: int = 0) -> Model:
    """The small detector, written to ``folder`` and loaded."""
    return load_model(small_detector(seed).save(folder / "detector.onnx"))


def run(path: Path, feeds: Mapping[str, NDArray[Any]], *, fused: bool = True) -> dict[str, NDArray[Any]]:
    """All outputs of a model in ONNX Runtime; ``fused=False`` runs the graph literally."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def fake_quantized(values: FloatArray, encoding: Encoding) -> FloatArray:
    """What the numbers become by the definitions in core."""
    return dequantized(quantized(values, encoding), encoding)


def minmax_encodings(
    model: Model,
    plan: QuantPoints,
    feeds: Mapping[str, NDArray[Any]],
    folder: Path,
    spec: QuantSpec = TENSORRT.activations,
) -> dict[str, Encoding]:
    """What MinMax chooses for the plan's activations after one sample."""
    tensors = [point.tensor for point in plan.activations]
    save_model(with_outputs(model, tensors), folder / "probed.onnx")
    values = {**run(folder / "probed.onnx", feeds), **feeds}
    return {
        tensor: encoding_of(Range(float(values[tensor].min()), float(values[tensor].max())), spec)
        for tensor in tensors
    }


def wide_encodings(plan: QuantPoints, amax: float = 3.0) -> dict[str, Encoding]:
    chosen = encoding_of(Range(-amax, amax), TENSORRT.activations)
    return {point.tensor: chosen for point in plan.activations}


def saved(model: ir.Model, path: Path) -> Model:
    """Save, check fully and load again."""
    save_model(model, path)
    onnx.checker.check_model(str(path), full_check=True)
    return load_model(path)
