"""Shifted tensors: what zero points give, on a target that has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transform_nets import Net, convolutions, images, inputs_of, outputs_of, values_of

from calibrant.core.errors import SettingsError
from calibrant.core.quantize import dequantized, encoding_of, on_axis, quantized, weight_encoding
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import Encoding, FloatArray, Range
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.rules import violations
from calibrant.models.onnx.transforms.bias import bias_corrected
from calibrant.models.onnx.transforms.weights import ConstantEditor, is_mendable, weight_of
from calibrant.models.onnx.transforms.zero_points import Centred, centred, settled, shifted_means

CALIBRATION = images(count=4)
SPEC = TENSORRT.activations
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def channel_ranges(model: Model) -> dict[str, tuple[FloatArray, FloatArray]]:
    """The smallest and largest value of each channel of what convolutions read."""
    tensors = inputs_of(model, convolutions(model))
    seen = [values_of(model, tensors, x) for x in CALIBRATION]
    return {
        name: (
            np.min([one[name].min(axis=(0, 2, 3)) for one in seen], axis=0),
            np.max([one[name].max(axis=(0, 2, 3)) for one in seen], axis=0),
        )
        for name in tensors
    }


def encodings_of(model: Model) -> dict[str, Encoding]:
    ranges = channel_ranges(model)
    planned = quant_points(model, TENSORRT).activations
    spans = {point.tensor: ranges[point.tensor] for point in planned}
    return {name: encoding_of(Range(float(a.min()), float(b.max())), SPEC) for name, (a, b) in spans.items()}


def centred_net(model: Model, *, pads: bool = True) -> Centred:
    return centred(model, quant_points(model, TENSORRT), channel_ranges(model), pads=pads)


def settled_net(found: Centred) -> tuple[Model, dict[str, Encoding]]:
    model = found.transformed.model
    encodings, plan = encodings_of(model), quant_points(model, TENSORRT)
    means = shifted_means(model, found.shifts, {})
    corrected = bias_corrected(model, plan, TENSORRT.weights, means).model
    return settled(corrected, plan, TENSORRT.weights, found.shifts, encodings), encodings


def with_stored_weights(model: Model) -> Model:
    """The float model with its weights as they come back from integers."""
    result = model.ir.clone()
    editor = ConstantEditor(result)
    for node in filter(is_mendable, result.graph):
        encoding = weight_encoding(weight_of(node), on_axis(TENSORRT.weights, 0))
        editor.set_weight(node, dequantized(quantized(weight_of(node), encoding), encoding))
    return replace(model, ir=result)


def quantized_model(model: Model, encodings: dict[str, Encoding]) -> Model:
    return replace(model, ir=with_qdq(model, quant_points(model, TENSORRT), encodings, TENSORRT))


def error(found: Model, true: Model) -> float:
    (name,) = (value.name or "" for value in true.ir.graph.outputs)
    return float(
        np.mean([np.square(outputs_of(found, x)[name] - outputs_of(true, x)[name]) for x in CALIBRATION])
    )


def assert_same(found: Model, true: Model) -> None:
    for x in CALIBRATION:
        for name, array in outputs_of(true, x).items():
            np.testing.assert_allclose(outputs_of(found, x)[name], array, atol=1e-4 * np.abs(array).max())


def silu_net(path: Path, seed: int, kernel: int, group: int) -> Model:
    net = Net(seed)
    net.conv(net.act("SiLU", net.conv("x", 8, spread=1.0)), 8, kernel, group=group, bias=bool(seed % 2))
    return net.save(path)


@SLOW
@given(seed=st.integers(0, 99), kernel=st.sampled_from((1, 3)), group=st.sampled_from((1, 4, 8)))
def test_in_float_nothing_changes(tmp_path: Path, seed: int, kernel: int, group: int) -> None:
    model = silu_net(tmp_path / "net.onnx", seed, kernel, group)
    found = centred_net(model)
    assert found.shifts
    assert_same(found.transformed.model, model)


@SLOW
@given(seed=st.integers(0, 99), kernel=st.sampled_from((1, 3)), group=st.sampled_from((1, 4, 8)))
def test_whole_steps_are_undone_for_stored_weights(
    tmp_path: Path, seed: int, kernel: int, group: int
) -> None:
    model = silu_net(tmp_path / "net.onnx", seed, kernel, group)
    found = centred_net(model)
    made, encodings = settled_net(found)
    constants = {name: value.const_value for name, value in made.ir.graph.initializers.items()}
    for shift in found.shifts:
        tensor = constants[shift.constant]
        assert tensor is not None
        steps = tensor.numpy() / float(encodings[shift.tensor].scale)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert_same(with_stored_weights(made), with_stored_weights(model))
    assert violations(quantized_model(made, encodings).ir) == ()


def test_channels_are_in_the_middle_of_the_range(tmp_path: Path) -> None:
    model = silu_net(tmp_path / "net.onnx", 3, 3, 8)
    found = centred_net(model)
    ranges = channel_ranges(found.transformed.model)
    for shift in found.shifts:
        low, high = ranges[shift.tensor]
        np.testing.assert_allclose(low, -high, atol=1e-5)


def test_errors_become_smaller_behind_silu(tmp_path: Path) -> None:
    net = Net()
    value = net.act("SiLU", net.conv("x", 16))
    for _ in range(4):
        value = net.act("SiLU", net.conv(value, 16, 3))
    net.conv(value, 8)
    model = net.save(tmp_path / "net.onnx")
    made = quantized_model(*settled_net(centred_net(model)))
    assert error(made, model) < 0.5 * error(quantized_model(model, encodings_of(model)), model)


def test_what_stays_in_float_is_undone_for_float_weights(tmp_path: Path) -> None:
    model = silu_net(tmp_path / "net.onnx", 5, 3, 1)
    found = centred_net(model)
    shifted = found.transformed.model
    encodings = encodings_of(shifted)
    spared = quant_points(shifted, TENSORRT, tuple(convolutions(shifted)))
    assert_same(settled(shifted, spared, TENSORRT.weights, found.shifts, encodings), model)
    assert_same(settled(shifted, spared, TENSORRT.weights, found.shifts, {}), model)


@pytest.mark.parametrize(("pads", "expected"), [(True, ["silu", "silu"]), (False, ["silu"])])
def test_padding_convolutions_are_left_alone_where_asked(
    tmp_path: Path, pads: bool, expected: list[str]
) -> None:
    net = Net()
    first = net.act("SiLU", net.conv("x", 8))
    net.conv(net.act("SiLU", net.conv(first, 8, 3)), 4)
    model = net.save(tmp_path / "net.onnx")
    found = centred_net(model, pads=pads).transformed
    assert str(found) == f"{len(expected)} shifted"
    operators = [node.op_type for node in found.model.ir.graph]
    assert operators.count("Pad") == (1 if pads else 0)
    assert operators.count("Add") == len(expected)


def test_what_is_symmetric_already_is_left_alone(tmp_path: Path) -> None:
    net = Net()
    net.conv("x", 4)
    model = net.save(tmp_path / "net.onnx")
    assert centred_net(model).transformed.changes == ()


def test_ranges_of_another_model_are_refused(tmp_path: Path) -> None:
    model = silu_net(tmp_path / "net.onnx", 0, 1, 1)
    tensor = inputs_of(model, convolutions(model))[-1]
    ranges = {tensor: (np.zeros(3, np.float32), np.ones(3, np.float32))}
    with pytest.raises(SettingsError, match=r"3 channels were measured of 'mul\d+', which has 8"):
        centred(model, quant_points(model, TENSORRT), ranges, pads=True)
