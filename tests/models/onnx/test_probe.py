"""Activations become outputs, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_graphs import load_small_detector, run

from calibrant.core.errors import SettingsError
from calibrant.models.onnx.model import load_model, save_model, signature_of
from calibrant.models.onnx.points import activation_tensors
from calibrant.models.onnx.probe import with_outputs

X = np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)


def test_probed_tensors_follow_the_models_own_outputs(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    probed = with_outputs(model, ["d", "a", "out", "x", "a"])
    assert [value.name for value in probed.graph.outputs] == ["out", "d", "a"]
    assert [value.name for value in model.ir.graph.outputs] == ["out"], "the input model must stay as it was"


def test_probed_outputs_have_shapes_and_pass_the_full_check(tmp_path: Path) -> None:
    save_model(with_outputs(load_small_detector(tmp_path), ["a", "e"]), tmp_path / "probed.onnx")
    onnx.checker.check_model(str(tmp_path / "probed.onnx"), full_check=True)
    outputs = signature_of(load_model(tmp_path / "probed.onnx")).outputs
    assert {info.name: info.shape for info in outputs} == {
        "out": (1, 5, 8, 8),
        "a": (1, 4, 8, 8),
        "e": (1, 5, 8, 8),
    }


def test_every_activation_can_be_probed_without_changing_the_result(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    save_model(with_outputs(model, activation_tensors(model)), tmp_path / "probed.onnx")
    values = run(tmp_path / "probed.onnx", {"x": X}, fused=False)
    assert set(values) == {"a", "b", "c", "d", "e", "out"}
    np.testing.assert_array_equal(values["b"], np.maximum(values["a"], 0))
    np.testing.assert_array_equal(values["out"], run(model.path, {"x": X}, fused=False)["out"])


@pytest.mark.parametrize("tensor", ["nowhere", "a_w"])
def test_what_no_run_computes_cannot_be_probed(tmp_path: Path, tensor: str) -> None:
    with pytest.raises(SettingsError, match=f"computes no tensor '{tensor}'; close: "):
        with_outputs(load_small_detector(tmp_path), [tensor])
