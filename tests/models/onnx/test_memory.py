"""What a model's activations take, counted on graphs small enough to do it by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from onnx_graphs import GraphBuilder

from calibrant.models.onnx.memory import Footprint, footprint
from calibrant.models.onnx.model import load_model

MB = 250_000  # float32 values


@pytest.mark.parametrize(
    ("reads_first", "expected"),
    [
        (False, Footprint(weights=0, live=3_000_000, total=4_000_000)),
        (True, Footprint(weights=0, live=4_000_000, total=4_000_000)),
    ],
)
def test_an_activation_goes_after_its_last_reader_and_inputs_stay(
    tmp_path: Path, reads_first: bool, expected: Footprint
) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [1, MB])], "a")
    graph.node("Relu", ["a"], "b")
    last = ["b", "a"] if reads_first else ["b", "b"]
    graph.node("Add", last, graph.output("y", [1, MB]))
    assert footprint(load_model(graph.save(tmp_path / "m.onnx"))) == expected


@pytest.mark.parametrize("as_node", [False, True])
def test_weights_are_weights_whether_an_initializer_or_a_node_holds_them(
    tmp_path: Path, as_node: bool
) -> None:
    values = np.ones((1, MB), np.float32)
    graph = GraphBuilder()
    if as_node:
        graph.node("Constant", [], "w", value=numpy_helper.from_array(values))
    else:
        graph.constant("w", values)
    graph.node("Add", [graph.input("x", [1, MB]), "w"], graph.output("y", [1, MB]))
    found = footprint(load_model(graph.save(tmp_path / "m.onnx")))
    assert found == Footprint(weights=values.nbytes, live=2 * values.nbytes, total=2 * values.nbytes)


def test_a_small_file_can_ask_for_much(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("t0", [1, MB])
    for position in range(20):
        graph.node("Concat", [f"t{position}"] * 2, f"t{position + 1}", axis=1)
    graph.output("t20", [1, MB << 20])
    found = footprint(load_model(graph.save(tmp_path / "m.onnx")))
    assert found.live == 1_000_000 * (2**20 + 2**19 + 1)
