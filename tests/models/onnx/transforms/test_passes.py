"""What transforms add between layers, as TensorRT's engines count it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.transforms.passes import added_passes


def graph(path: Path, *nodes: onnx.NodeProto) -> ir.Graph:
    arrays: dict[str, NDArray[Any]] = {
        "w": np.ones((2, 2, 1, 1), np.float32),
        "by": np.ones((1, 2, 1, 1), np.float32),
        "sizes": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    }
    made = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())
    return load_model(path).ir.graph


def node(kind: str, made: str, *read: str) -> onnx.NodeProto:
    return helper.make_node(kind, list(read), [made], name=made)


def test_passes_are_what_an_engine_has_as_layers(tmp_path: Path) -> None:
    """YOLOv5n 640 optimized: 49 Mul, 20 Add and 18 Pad by this count; TensorRT 8.6.0 made 69 Scale layers, 10
    Padding and 8 Slice of them.
    """
    swish = (node("Sigmoid", "s", "x"), node("Mul", "m", "x", "s"))
    before = graph(tmp_path / "a.onnx", *swish, node("Conv", "y", "m", "w"))
    scaled = node("Mul", "m_scaled", "m", "by")
    shifted = graph(
        tmp_path / "b.onnx", *swish, scaled, node("Add", "q", "m_scaled", "by"), node("Conv", "y", "q", "w")
    )
    assert added_passes(before, shifted) == {"Mul": 1}  # one layer with the Add
    padded = graph(
        tmp_path / "c.onnx",
        *swish,
        scaled,
        node("Pad", "p", "m_scaled", "sizes"),
        node("Add", "q", "p", "by"),
        node("Conv", "y", "q", "w"),
    )
    assert added_passes(before, padded) == {"Mul": 1, "Pad": 1, "Add": 1}
    assert added_passes(before, before) == {}
