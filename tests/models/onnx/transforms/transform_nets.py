"""Synthetic convolutional networks for the tests of transforms, and the channels that they reach."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model, load_model, save_model
from calibrant.models.onnx.probe import with_outputs

SIZE = 6  # pixels


class Net:
    """Layers one after the other, each named by its output; channels of uneven size where asked for."""

    def __init__(self, seed: int = 0, channels: int = 3) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = {"x": channels}
        self._sizes = {"x": np.ones(channels)}
        self.last = "x"

    def conv(
        self,
        source: str,
        out: int,
        kernel: int = 1,
        *,
        group: int = 1,
        spread: float = 0.0,
        bias: bool = True,
    ) -> str:
        """A convolution whose output channels differ in size by factors of ``e**(2 * spread)`` or so.

        It undoes the sizes of the channels that it reads, as training with batch normalization does.
        """
        sizes = np.exp(spread * self.random.normal(size=out))
        read = self.channels[source] // group
        undone = np.repeat(self._sizes[source].reshape(group, read), out // group, axis=0)
        weight = self.random.normal(size=(out, read, kernel, kernel)) / undone[:, :, None, None]
        inputs = [source, self._constant("w", weight * sizes[:, None, None, None])]
        if bias:
            inputs.append(self._constant("b", self.random.normal(size=out) * sizes))
        name = self._node("Conv", inputs, out, group=group, pads=[kernel // 2] * 4)
        self._sizes[name] = sizes
        return name

    def depthwise(self, source: str, *, spread: float = 0.0, bias: bool = True) -> str:
        """A depthwise 3x3 convolution."""
        count = self.channels[source]
        return self.conv(source, count, 3, group=count, spread=spread, bias=bias)

    def act(self, op_type: str, source: str, **attributes: Any) -> str:
        """An activation; ``SiLU`` is x times its Sigmoid."""
        count = self.channels[source]
        if op_type == "SiLU":
            gate = self._node("Sigmoid", [source], count)
            return self._node("Mul", [source, gate], count)
        return self._node(op_type, [source], count, **attributes)

    def add(self, left: str, right: str) -> str:
        """Their sum."""
        return self._node("Add", [left, right], self.channels[left])

    def save(self, path: Path, *outputs: str, opset: int = 13) -> Model:
        """Write and load the network; its outputs are the given tensors, or the last one."""
        shown = [self._info(name) for name in outputs or (self.last,)]
        graph = helper.make_graph(self.nodes, "net", [self._info("x")], shown, self.weights)
        opsets = [helper.make_opsetid("", opset)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
        return load_model(path)

    def _info(self, tensor: str) -> onnx.ValueInfoProto:
        shape = [1, self.channels[tensor], SIZE, SIZE]
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape)

    def _node(self, op_type: str, inputs: list[str], channels: int, **attributes: Any) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=f"{name}_node", **attributes))
        self.channels[name], self.last = channels, name
        self._sizes[name] = self._sizes.get(inputs[0], np.ones(channels))
        return name

    def _constant(self, kind: str, array: NDArray[np.float64]) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name


def images(channels: int = 3, count: int = 4, seed: int = 1) -> list[FloatArray]:
    """Inputs for such a network."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(1, channels, SIZE, SIZE)).astype(np.float32) for _ in range(count)]


def values_of(model: Model, tensors: list[str], x: FloatArray) -> dict[str, FloatArray]:
    """The given activations and the outputs of a model in ONNX Runtime, not optimized."""
    path = model.path.with_name("probed.onnx")
    save_model(with_outputs(model, tensors), path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return {**dict(zip(names, session.run(names, {"x": x}), strict=True)), "x": x}


def outputs_of(model: Model, x: FloatArray) -> dict[str, FloatArray]:
    """The model's own outputs."""
    found = values_of(model, [], x)
    return {value.name or "": found[value.name or ""] for value in model.ir.graph.outputs}


def amax_of(model: Model, tensors: list[str], given: list[FloatArray]) -> dict[str, FloatArray]:
    """The largest magnitude of every channel of ``tensors``."""
    seen = [values_of(model, tensors, x) for x in given]
    return {
        tensor: np.max([np.abs(one[tensor]).max(axis=(0, 2, 3)) for one in seen], axis=0)
        for tensor in tensors
    }


def convolutions(model: Model) -> list[str]:
    """The names of all convolutions."""
    return [node.name or "" for node in model.ir.graph if node.op_type == "Conv"]


def inputs_of(model: Model, nodes: list[str]) -> list[str]:
    """The activations that nodes read, each once."""
    read = [node.inputs[0] for node in model.ir.graph if node.name in nodes]
    return list(dict.fromkeys(value.name or "" for value in read if value is not None))


def assert_same(found: Mapping[str, FloatArray], expected: Mapping[str, FloatArray], relative: float) -> None:
    """Every array is what it should be, within a part of the array's largest magnitude."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=relative * float(np.abs(array).max()))
