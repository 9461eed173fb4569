"""Corrected biases: stored weights no longer shift a channel's mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transform_nets import Net, convolutions, images, inputs_of, outputs_of, values_of

from calibrant.core.errors import SettingsError
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.transforms.bias import bias_corrected
from calibrant.models.onnx.transforms.transformed import Transformed

CALIBRATION = images(count=6)


def weights_only(model: Model) -> QuantPoints:
    return replace(quant_points(model, TENSORRT), activations=())


def stored(model: Model) -> Model:
    """The model with its weights as integers and float activations."""
    return replace(model, ir=with_qdq(model, weights_only(model), {}, TENSORRT))


def means_of(model: Model) -> dict[str, FloatArray]:
    tensors = inputs_of(model, convolutions(model))
    seen = [values_of(model, tensors, x) for x in CALIBRATION]
    return {name: np.mean([one[name].mean(axis=(0, 2, 3)) for one in seen], axis=0) for name in tensors}


def corrected(model: Model) -> Transformed:
    return bias_corrected(model, weights_only(model), TENSORRT.weights, means_of(model))


def shift(found: Model, true: Model) -> FloatArray:
    """By how much the mean of each channel of the only output is off."""
    (name,) = (value.name or "" for value in true.ir.graph.outputs)
    differences = [outputs_of(found, x)[name] - outputs_of(true, x)[name] for x in CALIBRATION]
    mean: FloatArray = np.mean(differences, axis=(0, 1, 3, 4))
    return mean


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(group=st.sampled_from((1, 2, 4)), bias=st.booleans(), seed=st.integers(0, 99))
def test_one_layer_is_right_on_average(tmp_path: Path, group: int, bias: bool, seed: int) -> None:
    net = Net(seed)
    net.conv(net.act("Relu", net.conv("x", 8)), 8, group=group, bias=bias, spread=1.0)
    model = net.save(tmp_path / "net.onnx")
    plan = replace(weights_only(model), weights=weights_only(model).weights[1:])
    transformed = bias_corrected(model, plan, TENSORRT.weights, means_of(model)).model
    before, after = (replace(m, ir=with_qdq(m, plan, {}, TENSORRT)) for m in (model, transformed))
    size = np.abs(next(iter(outputs_of(model, CALIBRATION[0]).values()))).max()
    assert np.abs(shift(after, model)).max() < 1e-5 * size
    assert np.abs(shift(before, model)).max() > 1e-5 * size


def test_a_deep_network_comes_closer_to_float(tmp_path: Path) -> None:
    net = Net()
    value = net.conv("x", 16)
    for _ in range(6):
        value = net.conv(net.act("Relu", value), 16)
    model = net.save(tmp_path / "net.onnx")
    left = np.abs(shift(stored(corrected(model).model), model)).mean()
    assert left < 0.4 * np.abs(shift(stored(model), model)).mean()


def test_only_the_biases_of_quantized_convolutions_change(tmp_path: Path) -> None:
    net = Net()
    value = net.conv(net.act("Relu", net.conv("x", 8, bias=False)), 5)
    model = net.save(tmp_path / "net.onnx")
    before = outputs_of(model, CALIBRATION[0])
    plan = quant_points(model, TENSORRT, exclude=[f"{value}_node"])
    transformed = bias_corrected(model, plan, TENSORRT.weights, means_of(model))
    assert [change.nodes for change in transformed.changes] == [("conv0_node",)]
    assert str(transformed) == "1 corrected"
    first, second = (node for node in transformed.model.ir.graph if node.op_type == "Conv")
    assert len(first.inputs) == 3
    assert [value.name for value in second.inputs if value] == ["relu1", "w2", "b2"]
    np.testing.assert_array_equal(outputs_of(model, CALIBRATION[0])[value], before[value])


def test_what_was_not_measured_is_left_alone(tmp_path: Path) -> None:
    net = Net()
    net.conv("x", 4)
    model = net.save(tmp_path / "net.onnx")
    assert bias_corrected(model, weights_only(model), TENSORRT.weights, {}).changes == ()


def test_means_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    net = Net()
    net.conv("x", 4)
    model = net.save(tmp_path / "net.onnx")
    with pytest.raises(SettingsError, match="7 channels were measured of 'x', which has 3"):
        bias_corrected(model, weights_only(model), TENSORRT.weights, {"x": np.zeros(7, np.float32)})
