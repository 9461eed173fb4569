"""Convolution outputs by channel: nothing changes in float, and little is lost to rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transform_nets import Net, assert_same, convolutions, images, outputs_of, values_of

from calibrant.core.errors import SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import ONNXRUNTIME
from calibrant.core.types import FloatArray, Range
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.transforms.outputs import outputs_equalized

CALIBRATION = images(count=4)


def ranges_of(model: Model) -> dict[str, tuple[FloatArray, FloatArray]]:
    given = [node.outputs[0].name or "" for node in model.ir.graph if node.op_type == "Conv"]
    seen = [values_of(model, given, x) for x in CALIBRATION]
    return {
        name: (
            np.min([one[name].min(axis=(0, 2, 3)) for one in seen], axis=0),
            np.max([one[name].max(axis=(0, 2, 3)) for one in seen], axis=0),
        )
        for name in given
    }


def quantized(model: Model) -> Model:
    plan = quant_points(model, ONNXRUNTIME)
    tensors = [point.encoded_as for point in plan.activations]
    seen = [values_of(model, tensors, x) for x in CALIBRATION]
    encodings = {
        name: encoding_of(
            Range(min(float(one[name].min()) for one in seen), max(float(one[name].max()) for one in seen)),
            ONNXRUNTIME.activations,
        )
        for name in tensors
    }
    return replace(model, ir=with_qdq(model, plan, encodings, ONNXRUNTIME))


def uneven(path: Path) -> Model:
    """The last convolution is a head whose channels differ by far."""
    net = Net()
    net.conv(net.act("SiLU", net.conv("x", 8, 3)), 8, spread=2.0)
    return net.save(path / "net.onnx")


def test_the_float_model_computes_the_same(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    transformed = outputs_equalized(model, convolutions(model), ranges_of(model))
    assert str(transformed) == "2 normalized"
    assert_same(
        outputs_of(transformed.model, CALIBRATION[0]), outputs_of(model, CALIBRATION[0]), relative=1e-5
    )


def test_small_channels_keep_their_resolution(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    (name,) = (value.name or "" for value in model.ir.graph.outputs)
    low, high = ranges_of(model)[name]
    smallest = int(np.argmin(high - low))
    transformed = outputs_equalized(model, convolutions(model), ranges_of(model)).model

    def error(found: Model) -> float:
        differences = [outputs_of(found, x)[name] - outputs_of(model, x)[name] for x in CALIBRATION]
        return float(np.square(np.array(differences)[:, 0, smallest]).mean())

    assert error(quantized(transformed)) < 0.2 * error(quantized(model))


def test_what_a_clip_behind_it_absorbs_is_left_alone(tmp_path: Path) -> None:
    net = Net()
    net.conv(net.act("Relu", net.conv("x", 8)), 4)
    model = net.save(tmp_path / "net.onnx")
    transformed = outputs_equalized(model, convolutions(model), ranges_of(model))
    assert [change.tensor for change in transformed.changes] == ["conv2"]


def test_ranges_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    wrong = {name: (low[:3], high[:3]) for name, (low, high) in ranges_of(model).items()}
    with pytest.raises(SettingsError, match="3 channels were measured of 'conv0', which has 8"):
        outputs_equalized(model, convolutions(model), wrong)
