"""Sigmoid as TensorRT computes it, against values that TensorRT 8.5.1.7 gave on an H200."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_graphs import GraphBuilder, run

from calibrant.models.onnx.model import load_model, save_model
from calibrant.targets.tensorrt.sigmoid import half_tanh_table, with_tensorrt_sigmoid

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "tensorrt-8.5.1.7-sigmoid.json"
UNIT = 2.0**-24


def exact(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def computed(tmp_path: Path):  # type: ignore[no-untyped-def]
    def compute(x: NDArray[np.float32]) -> NDArray[np.float32]:
        graph = GraphBuilder()
        graph.input("x", [len(x)])
        graph.node("Sigmoid", ["x"], "y", name="sigmoid")
        graph.node("Mul", ["x", "y"], "z", name="mul")
        graph.output("y", [len(x)])
        graph.output("z", [len(x)])
        graph.save(tmp_path / "m.onnx")
        save_model(with_tensorrt_sigmoid(load_model(tmp_path / "m.onnx")).ir, tmp_path / "as.onnx")
        found: NDArray[np.float32] = run(tmp_path / "as.onnx", {"x": x})["y"]
        return found

    return compute


def test_recorded_values(computed) -> None:  # type: ignore[no-untyped-def]
    recorded = np.array(json.loads(GOLDEN.read_text())["values"])
    x, theirs = recorded[:, 0].astype(np.float32), recorded[:, 1]
    ours = np.abs(computed(x) - theirs)
    plain = np.abs(exact(x.astype(np.float64)) - theirs)
    assert ours.max() < 7 * UNIT < 50 * UNIT < plain.max()
    assert np.sqrt(np.mean(ours**2)) < np.sqrt(np.mean(plain**2)) / 7


def test_it_is_a_sigmoid(computed) -> None:  # type: ignore[no-untyped-def]
    x = np.linspace(-40, 40, 100_001, dtype=np.float32)
    y = computed(x)
    assert np.abs(y - exact(x.astype(np.float64))).max() < 3.5e-6
    assert np.allclose(y[::-1] + y, 1, rtol=0, atol=1.2e-7)
    assert (y[x >= 16] == 1).all()
    assert (y[x <= -16] == 0).all()
    assert computed(np.zeros(1, np.float32))[0] == 0.5


def test_neighbouring_pieces_meet() -> None:
    table = half_tanh_table().astype(np.float64)
    ends = table[:-1] @ np.array([1, 1 / 64, 1 / 4096])
    assert np.abs(ends - table[1:, 0]).max() < 7e-6


def test_a_model_without_sigmoids_stays(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [3])
    graph.node("Relu", ["x"], "y", name="relu")
    graph.output("y", [3])
    graph.save(tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    assert with_tensorrt_sigmoid(model) is model
