"""Channel by channel, the model itself computes what numpy computes from its activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_graphs import GraphBuilder, load_small_detector, run

from calibrant.core.errors import SettingsError
from calibrant.models.onnx.model import load_model, save_model
from calibrant.models.onnx.reductions import with_channel_reductions, with_channels

X = np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
def test_channels_are_reduced_over_everything_else(tmp_path: Path, opset: int) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 4), kernel=3)
    graph.output("a", [1, 4, 8, 8])
    model = load_model(graph.save(tmp_path / "m.onnx", opset=opset))
    reduced, outputs = with_channel_reductions(model, ["x", "a", "x"])
    save_model(reduced, tmp_path / "reduced.onnx")
    onnx.checker.check_model(str(tmp_path / "reduced.onnx"), full_check=True)
    found = run(tmp_path / "reduced.onnx", {"x": X})
    values = {"x": X, "a": found["a"]}
    assert list(outputs) == ["x", "a"]
    for tensor, names in outputs.items():
        np.testing.assert_array_equal(found[names.high], values[tensor].max(axis=(0, 2, 3)))
        np.testing.assert_array_equal(found[names.low], values[tensor].min(axis=(0, 2, 3)))
        np.testing.assert_allclose(found[names.mean], values[tensor].mean(axis=(0, 2, 3)), atol=1e-6)


def test_the_channels_of_a_matrix_products_input_lie_along_its_last_axis(tmp_path: Path) -> None:
    graph = GraphBuilder()
    tokens = graph.node("Relu", [graph.input("x", [1, 5, 7])], "tokens")
    graph.node("MatMul", [tokens, graph.weight("w", 7, 2)], graph.output("y", [1, 5, 2]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    x = np.random.default_rng(0).normal(size=(1, 5, 7)).astype(np.float32)
    reduced, outputs = with_channel_reductions(model, ["tokens"])
    save_model(reduced, tmp_path / "reduced.onnx")
    found = run(tmp_path / "reduced.onnx", {"x": x})
    np.testing.assert_array_equal(found[outputs["tokens"].high], np.maximum(x, 0).max(axis=(0, 1)))


def test_the_models_own_outputs_come_first_and_stay_what_they_were(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    reduced, outputs = with_channel_reductions(model, ["b"])
    assert [value.name for value in model.ir.graph.outputs] == ["out"]
    assert [value.name for value in reduced.graph.outputs] == [
        "out", outputs["b"].high, outputs["b"].low, outputs["b"].mean,
    ]  # fmt: skip
    save_model(reduced, tmp_path / "reduced.onnx")
    np.testing.assert_array_equal(
        run(tmp_path / "reduced.onnx", {"x": X}, fused=False)["out"],
        run(model.path, {"x": X}, fused=False)["out"],
    )


def test_names_that_are_taken_are_left_alone(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [1, 3, 8, 8])], graph.output("x_ReduceMax", [1, 3, 8, 8]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    _, outputs = with_channel_reductions(model, ["x"])
    assert outputs["x"].high == "x_ReduceMax_2"


def test_what_has_no_channels_is_refused(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("flat", [9])], graph.output("y", [9]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    with pytest.raises(SettingsError, match="'flat' has no channels"):
        with_channel_reductions(model, ["flat"])
    with pytest.raises(SettingsError, match="no tensor 'nowhere'"):
        with_channel_reductions(model, ["nowhere"])


def test_tensors_of_unknown_rank_have_no_channels_that_can_be_reduced(tmp_path: Path) -> None:
    """A recognizer of free width: shape inference ends at a Reshape by computed sizes."""
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Reshape", ["x", "sizes"], ["y"]),
            onnx.helper.make_node("Flatten", ["y"], ["z"]),
        ],
        "g",
        [
            onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 4]),
            onnx.helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, [None]),
        ],
        [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [None, None])],
    )
    graph.node.insert(0, onnx.helper.make_node("Identity", ["given"], ["sizes"]))
    del graph.input[1]
    graph.input.append(onnx.helper.make_tensor_value_info("given", onnx.TensorProto.INT64, [None]))
    onnx.save(onnx.helper.make_model(graph), tmp_path / "g.onnx")
    model = load_model(tmp_path / "g.onnx")
    assert with_channels(model, ["x", "y", "sizes", "none"]) == ["x"]
