"""Mean and covariance of what convolutions read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feeding import Feeding, Values
from onnx import TensorProto, helper, numpy_helper, save

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model, load_model
from calibrant.models.onnx.transforms.windows import windows_of
from calibrant.runtimes import runtime_named
from calibrant.stages import moments
from calibrant.stages.moments import second_moments

NODES = ("first", "second")
RANDOM = np.random.default_rng(3)
MIXING = RANDOM.normal(size=(8, 3, 1, 1)).astype(np.float32)
SAMPLES = [Values(str(i), RANDOM.normal(size=(1, 3, 6, 7)).astype(np.float32)) for i in range(6)]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A convolution that mixes channels, and one in four groups that pads what it reads."""
    grouped = RANDOM.normal(size=(8, 2, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["a"], name="first"),
            helper.make_node("Conv", ["a", "w2"], ["y"], name="second", group=4, pads=[1] * 4),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 6, 7])],
        [numpy_helper.from_array(MIXING, "w1"), numpy_helper.from_array(grouped, "w2")],
    )
    path = tmp_path / "net.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def read_by(node: str, x: FloatArray) -> FloatArray:
    mixed: FloatArray = np.einsum("oi,nihw->nohw", MIXING[:, :, 0, 0], x)
    return x if node == "first" else mixed


@pytest.mark.parametrize("workers", [1, 3])
def test_they_are_those_of_every_window(model: Model, workers: int) -> None:
    runtime = runtime_named(f"onnxruntime:workers={workers}")
    found = second_moments(model, NODES, Feeding(), runtime, SAMPLES)
    assert [*found] == [*NODES]
    for window in windows_of(model, NODES, most_weights=1000):
        seen = [read_by(window.node, sample.array) for sample in SAMPLES]
        read = np.concatenate([window.read(x, 1000, seed=0) for x in seen]).astype(np.float64)
        for group in range(window.groups):
            rows = read[:, group]
            np.testing.assert_allclose(found[window.node].mean[group], rows.mean(axis=0), atol=1e-5)
            covariance = np.cov(rows, rowvar=False, bias=True)
            np.testing.assert_allclose(found[window.node].covariance[group], covariance, atol=1e-4)


def test_so_many_samples_are_enough(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "SAMPLES", 3)
    runtime = runtime_named("onnxruntime")
    few, more = (
        second_moments(model, NODES, Feeding(), runtime, SAMPLES[:count]) for count in (3, len(SAMPLES))
    )
    for node, found in few.items():
        np.testing.assert_array_equal(found.covariance, more[node].covariance)
