"""ONNX files, what exporters write into them, and what a worker sends."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.schemes import TENSORRT
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.models.onnx.points import quant_points
from calibrant.runtimes.tensorrt_worker.messages import read_message, write_message
from calibrant.tasks.detection import recognise
from calibrant.tasks.detection.metadata import exporter_notes
from targets.base import Target, refusals, scratch, spliced


def model_bytes() -> bytes:
    """A convolution, a function, a subgraph and an external weight's description, in half a kilobyte."""
    branch = helper.make_graph(
        [helper.make_node("Relu", ["c"], ["b"])], "branch", [], [helper.make_empty_tensor_value_info("b")]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", strides=[2, 2]),
            helper.make_node("If", ["yes"], ["d"], then_branch=branch, else_branch=branch),
            helper.make_node("Twice", ["d"], ["y"], domain="own"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])],
        [
            numpy_helper.from_array(np.ones((2, 3, 2, 2), np.float32), "w"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets[:1]
    )
    made = helper.make_model(graph, opset_imports=opsets, functions=[twice], ir_version=8)
    made.metadata_props.add(key="names", value="{0: 'cat'}")
    return bytes(made.SerializeToString())


_MODEL = model_bytes()


def _onnx(content: bytes) -> None:
    path = scratch("onnx") / "m.onnx"
    path.write_bytes(spliced(content, _MODEL))
    with refusals():
        model = load_model(path)
        quant_points(model, TENSORRT)
        recognise(signature_of(model))


def _metadata(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    with refusals():
        exporter_notes({"names": text, "imgsz": text})


def _message(content: bytes) -> None:
    with suppress(ValueError, EOFError):
        read_message(io.BytesIO(spliced(content, message_bytes())))


def message_bytes() -> bytes:
    stream = io.BytesIO()
    write_message(stream, {"kind": "reply"}, {"a": np.arange(3, dtype=np.float32)})
    return stream.getvalue()


MODELS = (
    Target("onnx", _onnx, lambda: [_MODEL]),
    Target("onnx-metadata", _metadata, lambda: [b"{0: 'cat', 1: 'dog'}", b"['a', 'b']", b"[640, 640]"]),
    Target("worker-message", _message, lambda: [message_bytes()]),
)
