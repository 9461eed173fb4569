"""ONNX's shape inference and version conversion, with the weights kept out of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, load_small_detector, run, small_detector

from calibrant.core.errors import ModelError
from calibrant.models.onnx import model as model_module
from calibrant.models.onnx.model import load_model, save_model
from calibrant.models.onnx.onnx_passes import with_inferred_shapes, with_opset


def split_softmax_squeeze() -> GraphBuilder:
    """Operators whose form or meaning changed between opset 11 and 13, behind a heavy weight."""
    graph = GraphBuilder()
    graph.conv(graph.input("x", [1, 3, 8, 8]), "a", (3, 128))
    graph.nodes.append(helper.make_node("Split", ["a"], ["s", "t"], name="split", axis=1, split=[64, 64]))
    graph.node("Softmax", ["s"], "u", name="softmax", axis=2)
    graph.node("ReduceSum", ["t"], "v", name="reduce", axes=[1], keepdims=1)
    graph.node("Mul", ["u", "v"], "w", name="mul")
    graph.node("Squeeze", ["w"], graph.output("y", [64, 8, 8]), name="squeeze", axes=[0])
    return graph


def resize_pad_clip() -> GraphBuilder:
    graph = GraphBuilder()
    graph.input("x", [1, 3, 8, 8])
    graph.constant("scales", np.array([1, 1, 2, 2], np.float32))
    graph.node("Upsample", ["x", "scales"], "a", name="upsample", mode="nearest")
    graph.node("Pad", ["a"], "b", name="pad", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    graph.node("Clip", ["b"], graph.output("y", [1, 3, 18, 18]), name="clip", min=-1.0, max=1.0)
    return graph


@pytest.mark.parametrize(
    ("build", "opset"), [(small_detector, 7), (split_softmax_squeeze, 11), (resize_pad_clip, 9)]
)
def test_a_raised_opset_computes_the_same(
    tmp_path: Path, build: Callable[[], GraphBuilder], opset: int
) -> None:
    model = load_model(build().save(tmp_path / "old.onnx", opset=opset, ir_version=6))
    save_model(with_opset(model.ir, 13), tmp_path / "new.onnx")
    proto = onnx.load(str(tmp_path / "new.onnx"))
    assert proto.opset_import[0].version == 13
    onnx.checker.check_model(proto, full_check=True)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    for name, expected in run(model.path, feeds).items():
        np.testing.assert_array_equal(run(tmp_path / "new.onnx", feeds)[name], expected)


def test_conversion_keeps_names_metadata_and_other_domains(tmp_path: Path) -> None:
    proto = split_softmax_squeeze().model(opset=11)
    proto.graph.node.append(helper.make_node("Gelu", ["y"], ["z"], name="foreign", domain="com.microsoft"))
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [64, 8, 8]))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.metadata_props.add(key="stride", value="32")
    onnx.save(proto, tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    raised = with_opset(model.ir, 13)
    assert {node.name for node in model.ir.graph} <= {node.name for node in raised.graph}
    assert raised.metadata_props == {"stride": "32"}
    assert raised.opset_imports == {"": 13, "com.microsoft": 1}
    assert model.ir.opset_imports[""] == 11, "the input model must stay as it was"


def test_weights_left_in_their_file_are_not_read_to_convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "_LARGEST_INLINE", 100)
    save_model(
        load_model(split_softmax_squeeze().save(tmp_path / "m.onnx", opset=11)).ir, tmp_path / "big.onnx"
    )
    raised = with_opset(load_model(tmp_path / "big.onnx").ir, 13)
    assert isinstance(raised.graph.initializers["a_w"].const_value, ir.ExternalTensor)


def test_a_sufficient_opset_is_kept(tmp_path: Path) -> None:
    model = load_model(small_detector().save(tmp_path / "m.onnx", opset=17))
    copy = with_opset(model.ir, 13)
    assert copy is not model.ir
    assert copy.opset_imports[""] == 17


def test_an_operator_without_conversion_is_named(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node(
        "Upsample", [graph.input("x", [1, 1, 4, 4])], graph.output("y", [1, 1, 8, 8]), scales=[1.0] * 4
    )
    proto = graph.model(opset=8)
    model = load_model(graph.save(tmp_path / "m.onnx", opset=8))
    assert proto.opset_import[0].version == 8
    with pytest.raises(ModelError, match=r"opset 8 cannot be raised to 99.*export the model again"):
        with_opset(model.ir, 99)


def test_inference_leaves_a_contradictory_graph_as_it_is(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path).ir.clone()
    model.graph.inputs[0].shape = ir.Shape([1, 7, 8, 8])
    assert [node.name for node in with_inferred_shapes(model).graph] == [node.name for node in model.graph]


def test_an_output_of_unknown_rank_is_no_obstacle() -> None:
    """PaddlePaddle's recognizers say nothing of their output, and runtimes take them as they are."""
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)])
    raised = with_opset(ir.serde.deserialize_model(model), 13)
    assert raised.opset_imports[""] == 13
    assert [output.name for output in raised.graph.outputs] == ["y"]
