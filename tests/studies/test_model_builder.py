"""Recipes become models, whichever layers they spare."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from toy import ToyTask, toy_samples

from calibrant.calibrators import calibrators_named
from calibrant.core.progress import Silent
from calibrant.core.recipes import EVERYWHERE, TYPICAL, Equalize, Recipe
from calibrant.core.schemes import ONNXRUNTIME, OPENVINO, TENSORRT
from calibrant.core.types import FloatArray, Scheme
from calibrant.models.onnx.model import Model, load_model
from calibrant.models.onnx.points import pooling_ties, quant_points
from calibrant.runtimes import runtime_named
from calibrant.stages import moments
from calibrant.studies.candidates import QuantPlan
from calibrant.studies.optimization.model_builder import ModelBuilder, Quantized

LAYERS = ("first", "second", "last")


def upsampling_model(path: Path) -> Model:
    """Two convolutions, one of them made larger, joined and read by a third."""
    random = np.random.default_rng(0)
    shapes = {"w1": (4, 3, 1, 1), "w2": (4, 3, 2, 2), "w3": (4, 8, 1, 1)}
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["a"], name="first"),
            helper.make_node("Conv", ["x", "w2"], ["b"], name="second", strides=[2, 2]),
            helper.make_node("Relu", ["b"], ["r"], name="relu"),
            helper.make_node("Resize", ["r", "", "scales"], ["u"], name="resize", mode="nearest"),
            helper.make_node("Concat", ["a", "u"], ["j"], name="concat", axis=1),
            helper.make_node("Conv", ["j", "w3"], ["y"], name="last"),
        ],
        "upsampling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [*weights, numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def builder_of(model: Model, scheme: Scheme) -> ModelBuilder:
    ties = pooling_ties(model) if scheme.ties_pooling else {}
    plan = QuantPlan(model, scheme, quant_points(model, scheme), ties)
    task, runtime = ToyTask(np.zeros((4, 3, 1, 1), np.float32)), runtime_named("onnxruntime")
    return ModelBuilder(plan, task, runtime, toy_samples(3, seed=1), calibrators_named("minmax"), Silent())


@pytest.mark.parametrize("scheme", [TENSORRT, ONNXRUNTIME, OPENVINO], ids=lambda scheme: scheme.name)
def test_any_layers_can_be_spared(tmp_path: Path, scheme: Scheme) -> None:
    model = upsampling_model(tmp_path / "model.onnx")
    builder = builder_of(model, scheme)
    whole = builder.quantized(Recipe("minmax")).encodings
    for spared in chain.from_iterable(combinations(LAYERS, count) for count in range(1, len(LAYERS))):
        made = builder.quantized(Recipe("minmax", exclude=spared))
        assert set(made.plan.tensors) == set(made.encodings)
        assert {
            name: made.encodings[name] for name in whole if name in made.encodings
        }.items() <= whole.items()
        made.write(tmp_path / "made.onnx")
        onnx.checker.check_model(str(tmp_path / "made.onnx"))


EVERYTHING = Recipe(
    "minmax",
    equalize=Equalize(0.7, TYPICAL),
    correct_bias=True,
    round_weights=True,
    zero_points=EVERYWHERE,
)


def output_of(made: Quantized, folder: Path, x: FloatArray) -> FloatArray:
    made.write(folder / "made.onnx")
    session = ort.InferenceSession(str(folder / "made.onnx"), providers=["CPUExecutionProvider"])
    (output,) = session.run(["y"], {"x": x})
    return np.asarray(output, np.float32)


@pytest.mark.parametrize("scheme", [TENSORRT, OPENVINO], ids=lambda scheme: scheme.name)
def test_what_is_spared_is_as_in_float(tmp_path: Path, scheme: Scheme) -> None:
    """Neither corrected for weights that are not stored, nor with weights that were rounded."""
    model = upsampling_model(tmp_path / "model.onnx")
    builder = builder_of(model, scheme)
    x = toy_samples(1, seed=1)[0].values
    true = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = true.run(["y"], {"x": x})
    spared = output_of(builder.quantized(replace(EVERYTHING, exclude=LAYERS)), tmp_path, x)
    np.testing.assert_allclose(spared, expected, atol=1e-4 * np.abs(expected).max())
    rounded = output_of(builder.quantized(EVERYTHING), tmp_path, x)
    assert 0 < np.abs(rounded - expected).max() < 0.1 * np.abs(expected).max()


def test_a_model_says_what_was_done_to_it(tmp_path: Path) -> None:
    builder = builder_of(upsampling_model(tmp_path / "model.onnx"), TENSORRT)
    made = builder.quantized(EVERYTHING)
    assert "3 rounded" in made.changes
    assert "corrected" not in made.changes
    assert "3 corrected" in builder.quantized(replace(EVERYTHING, round_weights=False)).changes
    neither = builder.quantized(replace(EVERYTHING, round_weights=False, correct_bias=False))
    assert "corrected" not in neither.changes


def test_what_is_too_large_to_be_rounded_together_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "MOST_WEIGHTS", 10)
    made = builder_of(upsampling_model(tmp_path / "model.onnx"), TENSORRT).quantized(EVERYTHING)
    assert "2 rounded" in made.changes
    assert "1 corrected" in made.changes
