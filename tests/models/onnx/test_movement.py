"""Which tensors hold nothing but the values of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_graphs import GraphBuilder

from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.movement import value_sources


def test_moved_joined_and_pooled_values_name_their_sources(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 4, 8, 8])
    graph.node("MaxPool", ["x"], "pooled", kernel_shape=[1, 1])
    graph.node("AveragePool", ["pooled"], "averaged", kernel_shape=[1, 1])
    graph.node("Sigmoid", ["x"], "squashed")
    graph.node("Concat", ["averaged", "squashed"], "joined", axis=1)
    graph.node("Transpose", ["joined"], "turned", perm=[0, 2, 3, 1])
    graph.constant("shape", np.array([1, -1], np.int64))
    graph.node("Reshape", ["turned", "shape"], "out")
    graph.output("out", [1, 512])
    sources = value_sources(load_model(graph.save(tmp_path / "m.onnx")))
    assert sources == {
        "pooled": ("x",),
        "averaged": ("pooled",),
        "joined": ("averaged", "squashed"),
        "turned": ("joined",),
        "out": ("turned",),
    }
    assert list(sources) == ["pooled", "averaged", "joined", "turned", "out"]


def test_every_output_of_a_split_has_its_source(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1, 4])
    graph.node("Split", ["x"], "first", axis=1, name="split")
    graph.nodes[-1].output.append("second")
    graph.node("Relu", ["second"], "out")
    graph.output("first", [1, 2])
    graph.output("out", [1, 2])
    assert value_sources(load_model(graph.save(tmp_path / "m.onnx"))) == {"first": ("x",), "second": ("x",)}
