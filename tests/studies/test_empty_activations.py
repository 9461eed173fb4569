"""Activations that are empty for every calibration sample have no range: what reads them stays in float."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import calibrant

SCHEME = "onnxruntime"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Rows whose first value passes 10 have a layer of their own, as what lies within a spline's ends has.

    y = x W + the sum over such rows of r V.
    """
    weights = {
        name: np.random.default_rng(seed).normal(size=(8, 8)).astype(np.float32)
        for seed, name in enumerate(("w", "v"))
    }
    constants: Mapping[str, NDArray[Any]] = {
        **weights,
        "ten": np.array(10, np.float32),
        "zero": np.array([0], np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["x", "zero"], ["first"], axis=1),
            helper.make_node("Squeeze", ["first", "one"], ["flat"]),
            helper.make_node("Greater", ["flat", "ten"], ["is_beyond"]),
            helper.make_node("Compress", ["x", "is_beyond"], ["beyond"], axis=0),
            helper.make_node("MatMul", ["beyond", "v"], ["far"], name="far"),
            helper.make_node("ReduceSum", ["far", "zero"], ["summed"], keepdims=1),
            helper.make_node("MatMul", ["x", "w"], ["near"], name="near"),
            helper.make_node("Add", ["near", "summed"], ["y"], name="add"),
        ],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])],
        [
            numpy_helper.from_array(values, name)
            for name, values in {**constants, "one": np.array([1], np.int64)}.items()
        ],
    )
    path = tmp_path / "rows.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def rows(path: Path, count: int, seed: int) -> Path:
    np.save(path, np.random.default_rng(seed).normal(size=(count, 4, 8)).astype(np.float32))
    return path


def layers_in_int8(path: Path) -> set[str]:
    """The products that read a weight in INT8."""
    graph = onnx.load(path).graph
    given = {name: node.op_type for node in graph.node for name in node.output}
    return {
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and given.get(node.input[1]) == "DequantizeLinear"
    }


def run(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(["y"], {"x": x})[0]
    return found


def test_calibrate_leaves_in_float_what_reads_nothing(model: Path, tmp_path: Path) -> None:
    found = calibrant.calibrate(
        model, rows(tmp_path / "c.npy", 6, 0), tmp_path / "out", scheme=SCHEME, calibrators="minmax"
    )
    (made,) = found.candidates
    assert made.failure is None
    assert layers_in_int8(Path(made.qdq or "")) == {"near"}
    x = np.load(tmp_path / "c.npy")[0]
    # Not the largest difference: processors without VNNI saturate single sums of uint8 by int8.
    assert np.median(np.abs(run(Path(made.qdq or ""), x) - run(model, x))) < 0.1


def test_a_study_and_an_optimization_do_so_too(model: Path, tmp_path: Path) -> None:
    calib, data = rows(tmp_path / "c.npy", 6, 0), rows(tmp_path / "t.npy", 12, 1)
    settings: dict[str, Any] = {"task": "outputs", "scheme": SCHEME, "calibrators": "minmax,mse"}
    study = calibrant.study(model, calib, data, out=tmp_path / "study", diagnose_budget=5, **settings)
    assert [trial.status for trial in study.trials] == ["ok", "ok"]
    assert [line for line in study.warnings if "empty for every calibration sample" in line]
    assert (tmp_path / "study" / "diagnosis.json").is_file()
    best = tmp_path / "best"
    found = calibrant.optimize(model, calib, data, out=best, budget=5, least_int8=0, **settings)
    assert layers_in_int8(best / found.files.qdq) <= {"near"}


def test_an_activation_that_has_values_once_is_quantized(model: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 4, 8)).astype(np.float32)
    values[3, 1, 0] = 20
    np.save(tmp_path / "c.npy", values)
    found = calibrant.calibrate(
        model, tmp_path / "c.npy", tmp_path / "out", scheme=SCHEME, calibrators="minmax"
    )
    assert layers_in_int8(Path(found.candidates[0].qdq or "")) == {"near", "far"}
