"""What a loaded model looks like, and that saving is all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, load_small_detector, run, small_detector

from calibrant.core.errors import ModelError, OutputError, SettingsError
from calibrant.core.types import TensorInfo
from calibrant.models.onnx import model as model_module
from calibrant.models.onnx.model import (
    Model,
    dynamic_plane_input,
    load_model,
    opset_of,
    save_model,
    signature_of,
    with_fixed_input,
)

X = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)


def node_names(model: Model) -> list[str | None]:
    return [node.name for node in ir.traversal.RecursiveGraphIterator(model.ir.graph)]


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def dynamic_detector(folder: Path, layout: str = "NCHW") -> Model:
    graph = GraphBuilder()
    if layout == "NCHW":
        source = graph.input("x", ["batch", 3, "height", "width"])
    else:
        source = graph.node("Transpose", [graph.input("x", [None, None, None, 3])], "t", perm=[0, 3, 1, 2])
    graph.conv(source, "y", (3, 5), kernel=3, strides=[2, 2])
    graph.output("y", ["batch", 5, "h2", "w2"])
    return load_model(graph.save(folder / "dynamic.onnx"))


# --- loading ---------------------------------------------------------------------------------------


def test_the_hash_depends_on_the_bytes_only(tmp_path: Path) -> None:
    first = load_model(small_detector().save(tmp_path / "first.onnx"))
    second = load_model(small_detector().save(tmp_path / "second.onnx"))
    other = load_model(small_detector(seed=1).save(tmp_path / "other.onnx"))
    assert first.sha256 == second.sha256 != other.sha256


def test_nameless_nodes_are_called_by_operator_and_output(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [2])], "a")
    graph.node("Relu", ["a"], "b")
    graph.node("Neg", ["b"], graph.output("y", [2]))
    assert node_names(load_model(graph.save(tmp_path / "m.onnx"))) == ["Relu_a", "Relu_b", "Neg_y"]


def test_node_names_become_unique_and_given_ones_have_precedence(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [2])], "a")
    graph.node("Relu", ["a"], "b", name="same")
    graph.node("Neg", ["b"], "c", name="same")
    graph.node("Neg", ["c"], graph.output("y", [2]), name="Relu_a")
    assert node_names(load_model(graph.save(tmp_path / "m.onnx"))) == ["Relu_a_2", "same", "same_2", "Relu_a"]


def test_initializers_of_old_files_are_not_inputs(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), graph.output("y", [1, 2, 8, 8]), (3, 2))
    graph.input("y_w", [2, 3, 1, 1])
    model = load_model(graph.save(tmp_path / "old.onnx", opset=8, ir_version=3))
    assert [info.name for info in signature_of(model).inputs] == ["x"]
    save_model(model.ir, tmp_path / "again.onnx")
    feeds = {"x": X}
    np.testing.assert_array_equal(
        run(tmp_path / "again.onnx", feeds)["y"], run(tmp_path / "old.onnx", feeds)["y"]
    )


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    body = [helper.make_node("Mul", ["v", "v"], ["vv"]), helper.make_node("Relu", ["vv"], ["w"])]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    square = helper.make_function("local", "Square", ["v"], ["w"], body, opsets[:1])
    graph = helper.make_graph(
        [
            helper.make_node("Square", ["x"], ["a"], domain="local"),
            helper.make_node("Square", ["a"], ["y"], domain="local"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    proto = helper.make_model(graph, functions=[square], opset_imports=opsets, ir_version=8)
    onnx.save(proto, tmp_path / "f.onnx")
    model = load_model(tmp_path / "f.onnx")
    assert signature_of(model).op_counts == {"Mul": 2, "Relu": 2}
    assert len(set(node_names(model))) == 4


# --- describing ------------------------------------------------------------------------------------


def test_a_signature_describes_the_model(tmp_path: Path) -> None:
    proto = small_detector().model()
    proto.metadata_props.add(key="names", value="{0: 'person'}")
    onnx.save(proto, tmp_path / "m.onnx")
    signature = signature_of(load_model(tmp_path / "m.onnx"))
    assert signature.inputs == (TensorInfo("x", (1, 3, 8, 8), "float32"),)
    assert signature.outputs == (TensorInfo("out", (1, 5, 8, 8), "float32"),)
    assert signature.op_counts == {"Conv": 3, "Relu": 1, "Add": 1, "Sigmoid": 1}
    assert signature.tail_ops == {"out": ("Sigmoid", "Conv")}
    assert signature.metadata == {"names": "{0: 'person'}"}


def test_tails_go_back_through_every_branch_nearest_first(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 2))
    graph.node("Exp", ["a"], "b")
    graph.node("Tanh", ["x"], "c")
    graph.node("Neg", ["c"], "c2")
    graph.node("Concat", ["b", "c2"], graph.output("y", [1, 5, 8, 8]), axis=1)
    graph.node("Identity", ["x"], graph.output("z", [1, 3, 8, 8]))
    tails = signature_of(load_model(graph.save(tmp_path / "m.onnx"))).tail_ops
    assert tails == {"y": ("Concat", "Exp", "Neg", "Conv", "Tanh"), "z": ("Identity",)}


def test_dynamic_dimensions_show_as_none(tmp_path: Path) -> None:
    signature = signature_of(dynamic_detector(tmp_path))
    assert signature.inputs[0].shape == (None, 3, None, None)
    assert signature.outputs[0].shape == (None, 5, None, None)


def test_output_shapes_missing_from_the_file_are_inferred(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), graph.output("y", [None, None, None, None]), (3, 2))
    signature = signature_of(load_model(graph.save(tmp_path / "m.onnx")))
    assert signature.outputs[0].shape == (1, 2, 8, 8)


def test_the_opset_is_the_standards(tmp_path: Path) -> None:
    assert opset_of(load_model(small_detector().save(tmp_path / "m.onnx", opset=11))) == 11


# --- fixing the input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dynamic"),
    [
        ([1, 3, 8, 8], False),
        (["batch", 3, 8, 8], False),
        ([1, 3, "h", "w"], True),
        ([1, 3, 8, None], True),
        ([1, None, 8, 3], True),
        ([1, 8, 8, 3], False),
        ([None], False),
    ],
)
def test_only_an_open_height_or_width_has_to_be_said(
    tmp_path: Path, shape: list[int | str | None], dynamic: bool
) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", shape)], graph.output("y", shape))
    assert dynamic_plane_input(signature_of(load_model(graph.save(tmp_path / "m.onnx")))) is dynamic


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_fixed_input_fixes_all_shapes_behind_it(tmp_path: Path, layout: str) -> None:
    model = dynamic_detector(tmp_path, layout)
    fixed = with_fixed_input(model, height=8, width=6)
    save_model(fixed, tmp_path / "fixed.onnx")
    signature = signature_of(load_model(tmp_path / "fixed.onnx"))
    assert signature.inputs[0].shape == ((1, 3, 8, 6) if layout == "NCHW" else (1, 8, 6, 3))
    assert signature.outputs[0].shape == (1, 5, 4, 3)
    assert dynamic_plane_input(signature_of(model)), "the input model must stay as it was"
    image = np.random.default_rng(0).normal(size=signature.inputs[0].shape).astype(np.float32)
    np.testing.assert_array_equal(
        run(tmp_path / "fixed.onnx", {"x": image})["y"], run(model.path, {"x": image})["y"]
    )


def test_what_is_known_of_the_outputs_outlives_what_cannot_be_inferred(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.conv(graph.input("x", ["batch", 3, "h", "w"]), "a", (3, 5))
    graph.node("Shape", ["a"], "shape")
    graph.node("Slice", ["shape", *(graph.constant(f"s{i}", np.array([i])) for i in (0, 2))], "kept")
    graph.node("Concat", ["kept", graph.constant("rest", np.array([-1]))], "target", axis=0)
    graph.node("Reshape", ["a", "target"], graph.output("y", ["batch", 5, "anchors"]))
    model = load_model(graph.save(tmp_path / "m.onnx"))
    save_model(with_fixed_input(model, 8, 8), tmp_path / "fixed.onnx")
    assert signature_of(load_model(tmp_path / "fixed.onnx")).outputs[0].shape == (None, 5, None)


def test_a_fixed_input_takes_only_its_own_size(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    assert with_fixed_input(model, 8, 8).graph.inputs[0].shape == [1, 3, 8, 8]
    with pytest.raises(SettingsError, match="fixed at 8x8 and cannot take 16x16; leave --input-shape out"):
        with_fixed_input(model, 16, 16)


def test_a_model_without_image_has_no_size(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Relu", [graph.input("x", [None, 7])], graph.output("y", [None, 7]))
    with pytest.raises(ModelError, match="no input with a height"):
        with_fixed_input(load_model(graph.save(tmp_path / "m.onnx")), 8, 8)


# --- saving ----------------------------------------------------------------------------------------


def test_a_saved_model_computes_the_same(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    save_model(model.ir, tmp_path / "copy.onnx")
    np.testing.assert_array_equal(
        run(tmp_path / "copy.onnx", {"x": X})["out"], run(model.path, {"x": X})["out"]
    )
    assert files_in(tmp_path) == ["copy.onnx", "detector.onnx"]


def test_weights_beyond_the_limit_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_small_detector(tmp_path)
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.setattr(model_module, "_LARGEST_INLINE", 100)
    save_model(model.ir, target / "big.onnx")
    assert files_in(target) == ["big.onnx", "big.onnx.data"]
    np.testing.assert_array_equal(run(target / "big.onnx", {"x": X})["out"], run(model.path, {"x": X})["out"])
    again = load_model(target / "big.onnx")
    save_model(again.ir, target / "big.onnx")  # over the very file whose weights it still has to read
    np.testing.assert_array_equal(run(target / "big.onnx", {"x": X})["out"], run(model.path, {"x": X})["out"])


def test_external_weights_are_taken_along_into_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(model_module, "_LARGEST_INLINE", 100)
        save_model(load_small_detector(tmp_path).ir, tmp_path / "external.onnx")
    model = load_model(tmp_path / "external.onnx")
    target = tmp_path / "elsewhere"
    target.mkdir()
    save_model(model.ir, target / "whole.onnx")
    assert files_in(target) == ["whole.onnx"]
    np.testing.assert_array_equal(
        run(target / "whole.onnx", {"x": X})["out"], run(model.path, {"x": X})["out"]
    )


@pytest.mark.parametrize("largest_inline", [100, 10**9])
def test_a_failed_save_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest_inline: int
) -> None:
    model = load_small_detector(tmp_path)
    before = model.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_module, "_LARGEST_INLINE", largest_inline)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="its disk is full"):
        save_model(model.ir, model.path)
    assert files_in(tmp_path) == ["detector.onnx"]
    assert model.path.read_bytes() == before


def test_a_folder_that_is_missing_or_a_file_is_refused(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    with pytest.raises(OutputError, match="cannot write"):
        save_model(model.ir, tmp_path / "absent" / "m.onnx")
    with pytest.raises(OutputError, match="cannot write"):
        save_model(model.ir, model.path / "m.onnx")
