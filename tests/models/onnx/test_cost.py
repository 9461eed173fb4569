"""Multiply-accumulates by the textbook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import GraphBuilder

from calibrant.models.onnx.cost import NodeCost, costs, total_macs, total_parameters
from calibrant.models.onnx.model import Model, load_model


def one_layer(
    folder: Path, op_type: str, data: list[int | str | None], weight: list[int], **more: object
) -> Model:
    graph = GraphBuilder()
    graph.input("x", data)
    graph.weight("w", *weight)
    rank = len(data)
    graph.node(op_type, ["x", "w"], graph.output("y", [None] * rank), name="layer", **more)
    return load_model(graph.save(folder / "m.onnx"))


@pytest.mark.parametrize(
    ("op_type", "data", "weight", "more", "macs"),
    [
        ("Conv", [1, 3, 8, 8], [4, 3, 3, 3], {"pads": [1] * 4}, 4 * 8 * 8 * 3 * 9),
        ("Conv", [1, 3, 8, 8], [4, 3, 3, 3], {"strides": [2, 2], "pads": [1] * 4}, 4 * 4 * 4 * 3 * 9),
        ("Conv", [1, 4, 8, 8], [4, 1, 3, 3], {"group": 4}, 4 * 6 * 6 * 9),
        ("Conv", ["batch", 3, 8, 8], [4, 3, 1, 1], {}, 4 * 64 * 3),
        ("Conv", [2, 3, 8, 8], [4, 3, 1, 1], {}, 2 * 4 * 64 * 3),
        ("ConvTranspose", [1, 3, 4, 4], [3, 2, 2, 2], {"strides": [2, 2]}, 3 * 16 * 2 * 4),
        ("Gemm", [5, 6], [6, 4], {}, 5 * 6 * 4),
        ("Gemm", [5, 6], [4, 6], {"transB": 1}, 5 * 6 * 4),
        ("MatMul", [2, 5, 6], [6, 4], {}, 2 * 5 * 6 * 4),
    ],
)
def test_layers_cost_what_the_textbook_says(
    tmp_path: Path,
    op_type: str,
    data: list[int | str | None],
    weight: list[int],
    more: dict[str, object],
    macs: int,
) -> None:
    parameters = 1
    for dim in weight:
        parameters *= dim
    model = one_layer(tmp_path, op_type, data, weight, **more)
    assert costs(model) == (NodeCost("layer", op_type, macs, parameters),)


def test_a_product_of_two_activations_costs_but_has_no_parameters(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node(
        "MatMul", [graph.input("x", [2, 3]), graph.input("v", [3, 4])], graph.output("y", [2, 4]), "product"
    )
    assert costs(load_model(graph.save(tmp_path / "m.onnx"))) == (NodeCost("product", "MatMul", 24, 0),)


def test_open_shapes_have_no_cost(tmp_path: Path) -> None:
    found = costs(one_layer(tmp_path, "Conv", [1, 3, "h", "w"], [4, 3, 1, 1]))
    assert found == (NodeCost("layer", "Conv", None, 12),)
    assert total_macs(found) is None


def test_a_product_with_a_vector_sums_all_of_it(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.weight("w", 6)
    graph.node("MatMul", [graph.input("x", [2, 6]), "w"], graph.output("y", [2]), "product")
    assert costs(load_model(graph.save(tmp_path / "m.onnx"))) == (NodeCost("product", "MatMul", 12, 6),)


def test_a_weight_of_impossible_rank_has_no_cost(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.constant("w", np.array(1.0, np.float32))
    graph.node("Gemm", [graph.input("x", [2, 6]), "w"], graph.output("y", [2, 4]), "product")
    assert costs(load_model(graph.save(tmp_path / "m.onnx"))) == (NodeCost("product", "Gemm", None, 1),)


def test_totals_are_sums() -> None:
    nodes = (NodeCost("a", "Conv", 5, 2), NodeCost("b", "Conv", 7, 1))
    assert (total_macs(nodes), total_parameters(nodes)) == (12, 3)
    assert (total_macs(()), total_parameters(())) == (0, 0)
