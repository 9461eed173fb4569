"""A few kilobytes of ONNX cannot ask for minutes or gigabytes."""

from __future__ import annotations

import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, small_detector

from calibrant.core.errors import ModelError, SettingsError
from calibrant.models.onnx import limits
from calibrant.models.onnx.limits import NODE_LIMIT
from calibrant.models.onnx.model import load_model


def refusal(path: Path, seconds: float = 20) -> str:
    begun = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert time.monotonic() - begun < seconds
    message = str(caught.value)
    assert "\n" not in message
    return message


def function(name: str, calls: list[str]) -> onnx.FunctionProto:
    """A local function of one value that applies ``calls`` one after the other; "" for a Relu."""
    values = ["a", *(f"v{index}" for index in range(1, len(calls))), "b"]
    nodes = [
        helper.make_node(call or "Relu", [values[i]], [values[i + 1]], domain="own" if call else "")
        for i, call in enumerate(calls)
    ]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, opsets)


def with_functions(path: Path, functions: list[onnx.FunctionProto]) -> Path:
    """A model that calls the last of the functions once."""
    graph = helper.make_graph(
        [helper.make_node(functions[-1].name, ["x"], ["y"], domain="own")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_functions_that_double_with_every_level(tmp_path: Path) -> None:
    doubling = [function("F0", [""]), *(function(f"F{n}", [f"F{n - 1}"] * 2) for n in range(1, 60))]
    assert "more than 50000 nodes" in refusal(with_functions(tmp_path / "m.onnx", doubling))


def test_functions_that_call_each_other(tmp_path: Path) -> None:
    assert "recursive" in refusal(
        with_functions(tmp_path / "m.onnx", [function("A", ["B"]), function("B", ["A"])])
    )


def test_functions_nested_beyond_reason(tmp_path: Path) -> None:
    nested = [function("F0", [""]), *(function(f"F{n}", [f"F{n - 1}"]) for n in range(1, 3000))]
    assert "functions too deeply" in refusal(with_functions(tmp_path / "m.onnx", nested))


def test_ordinary_functions_are_inlined(tmp_path: Path) -> None:
    functions = [function("F0", ["", ""]), function("F1", ["F0", "F0", ""])]
    loaded = load_model(with_functions(tmp_path / "m.onnx", functions))
    assert [node.op_type for node in loaded.ir.graph] == ["Relu"] * 5


def chain(path: Path, length: int) -> Path:
    graph = GraphBuilder()
    graph.input("t0", [1])
    for position in range(length):
        graph.node("Relu", [f"t{position}"], f"t{position + 1}")
    graph.output(f"t{length}", [1])
    return graph.save(path)


def test_the_limit_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chain(tmp_path / "m.onnx", 30)
    monkeypatch.setenv(NODE_LIMIT, "29")
    assert "more than 29 nodes" in refusal(path)
    monkeypatch.setenv(NODE_LIMIT, "30")
    load_model(path)
    monkeypatch.setenv(NODE_LIMIT, "a few")
    with pytest.raises(SettingsError, match=NODE_LIMIT):
        load_model(path)


def test_nodes_of_subgraphs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Relu", ["r"], ["b"])],
        "branch", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    graph = GraphBuilder()
    graph.input("x", [1])
    graph.nodes.append(helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", 9, [], [True])))
    graph.nodes.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    graph.output("y", [1])
    path = graph.save(tmp_path / "m.onnx")
    monkeypatch.setenv(NODE_LIMIT, "5")
    assert "more than 5 nodes" in refusal(path)
    monkeypatch.setenv(NODE_LIMIT, "6")
    load_model(path)


def field(number: int, content: bytes) -> bytes:
    """A protobuf field with a length before its content."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


@pytest.mark.parametrize("levels", [200, 20_000])
def test_messages_nested_in_each_other(tmp_path: Path, levels: int) -> None:
    node = helper.make_node("Relu", ["x"], ["y"]).SerializeToString()
    graph = field(1, node)
    for _ in range(levels):  # a node whose attribute is a graph
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    (tmp_path / "m.onnx").write_bytes(field(7, graph))
    assert "truncated, damaged or another format" in refusal(tmp_path / "m.onnx")


def test_unknown_fields_nested_in_each_other_are_skipped(tmp_path: Path) -> None:
    content = b""
    for _ in range(20_000):
        content = field(99, content)
    model = small_detector().model().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(model + content)
    load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("dims", [[2**40], [2**32, 2**32], [2**20, 2**20], [-1]])
@pytest.mark.parametrize("content", [b"", b"1234"])
def test_weights_that_claim_more_than_they_hold(tmp_path: Path, dims: list[int], content: bytes) -> None:
    proto = small_detector().model()
    weight = proto.graph.initializer[0]
    del weight.dims[:]
    weight.dims.extend(dims)
    weight.raw_data = content
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    assert "not a valid ONNX graph" in refusal(tmp_path / "m.onnx")


def test_weights_that_hold_more_than_they_claim(tmp_path: Path) -> None:
    proto = small_detector().model()
    proto.graph.initializer[0].raw_data = bytes(4_000_000)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    refusal(tmp_path / "m.onnx")


def test_weights_larger_than_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[2**32], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="sparse.bin")
    with (tmp_path / "sparse.bin").open("wb") as stream:
        stream.truncate(2**34)
    graph = GraphBuilder()
    graph.node("Add", [graph.input("x", [1]), "w"], graph.output("y", [2**32]))
    proto = onnx.ModelProto.FromString(graph.save(tmp_path / "m.onnx").read_bytes())
    proto.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    monkeypatch.setattr(limits, "memory_limit", lambda: 2**33)
    assert "17.2 GB of weights, e.g. in 'sparse.bin', and this machine allows 8.6 GB" in refusal(
        tmp_path / "m.onnx"
    )
