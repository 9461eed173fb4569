"""Names, constants, and the way back from an output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx_graphs import GraphBuilder

from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.walk import UniqueNames, constant_tensor


@given(taken=st.lists(st.sampled_from("abc")), wishes=st.lists(st.sampled_from(["a", "a_2", "b"])))
def test_fresh_names_are_never_taken(taken: list[str], wishes: list[str]) -> None:
    names = UniqueNames(taken)
    given_out = [names.fresh(wish) for wish in wishes]
    assert len({*given_out, *taken}) == len(given_out) + len(set(taken))
    assert all(name.startswith(wish) for name, wish in zip(given_out, wishes, strict=True))


def test_a_free_name_is_given_as_wished() -> None:
    assert UniqueNames(["a"]).fresh("b") == "b"


W = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([], W),
        ([("Identity", {})], W),
        ([("Transpose", {})], W.transpose()),
        ([("Transpose", {"perm": [1, 2, 0]})], W.transpose(1, 2, 0)),
        (
            [("Transpose", {"perm": [1, 2, 0]}), ("Identity", {}), ("Transpose", {"perm": [0, 2, 1]})],
            W.transpose(1, 2, 0).transpose(0, 2, 1),
        ),
    ],
)
@pytest.mark.parametrize("as_node", [False, True])
def test_constants_are_seen_through_identity_and_transpose(
    tmp_path: Path, chain: list[tuple[str, dict[str, Any]]], expected: NDArray[np.float32], as_node: bool
) -> None:
    graph = GraphBuilder()
    if as_node:
        tensor = numpy_helper.from_array(W, "t")
        graph.nodes.append(helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        graph.constant("w", W)
    last = "w"
    for index, (op_type, attributes) in enumerate(chain):
        last = graph.node(op_type, [last], f"w{index}", **attributes)
    graph.node("Add", [graph.input("x", list(expected.shape)), last], graph.output("y", list(expected.shape)))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    constant = constant_tensor(model.ir.graph[-1].inputs[1])
    assert constant is not None
    assert constant.shape.numpy() == expected.shape
    np.testing.assert_array_equal(constant.numpy(), expected)


def test_what_a_run_computes_is_no_constant(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Transpose", [graph.input("x", [2, 3])], "t")
    graph.node("Relu", ["t"], graph.output("y", [3, 2]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    assert constant_tensor(model.ir.graph.inputs[0]) is None
    assert constant_tensor(model.ir.graph[1].inputs[0]) is None
    assert constant_tensor(None) is None


def test_a_transpose_that_fits_no_rank_is_no_constant(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Transpose", [graph.constant("w", W)], "t", perm=[0, 5, 1])
    graph.node("Add", [graph.input("x", [2]), "t"], graph.output("y", [2]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    assert constant_tensor(model.ir.graph[-1].inputs[1]) is None
