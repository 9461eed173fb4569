"""Shifted tensors: what zero points give, on a target that has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mending_nets import Net, convolutions, images, inputs_of, outputs_of, values_of

from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import Encoding, Range
from calibrant.graph.mending.zero_points import Shifted, shifted
from calibrant.graph.model import Model
from calibrant.graph.points import quant_plan
from calibrant.graph.qdq import with_qdq
from calibrant.graph.rules import violations

CALIBRATION = images(count=4)
SPEC = TENSORRT.activations


def ranges_of(model: Model) -> dict[str, Range]:
    tensors = inputs_of(model, convolutions(model))
    seen = [values_of(model, tensors, x) for x in CALIBRATION]
    return {
        name: Range(min(float(one[name].min()) for one in seen), max(float(one[name].max()) for one in seen))
        for name in tensors
    }


def symmetric(ranges: dict[str, Range]) -> dict[str, Encoding]:
    return {name: encoding_of(found, SPEC) for name, found in ranges.items()}


def shifted_net(model: Model, *, pads: bool = True) -> Shifted:
    ranges = ranges_of(model)
    return shifted(model, quant_plan(model, TENSORRT), TENSORRT.weights, symmetric(ranges), ranges, pads=pads)


def quantized(model: Model, encodings: dict[str, Encoding]) -> Model:
    return replace(model, ir=with_qdq(model, quant_plan(model, TENSORRT), encodings, TENSORRT))


def error(found: Model, true: Model) -> float:
    (name,) = (value.name or "" for value in true.ir.graph.outputs)
    return float(
        np.mean([np.square(outputs_of(found, x)[name] - outputs_of(true, x)[name]) for x in CALIBRATION])
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), kernel=st.sampled_from((1, 3)), group=st.sampled_from((1, 4)))
def test_it_computes_what_zero_points_would(tmp_path: Path, seed: int, kernel: int, group: int) -> None:
    net = Net(seed)
    net.conv(net.act("SiLU", net.conv("x", 8)), 8, kernel, group=group, bias=bool(seed % 2))
    model = net.save(tmp_path / "net.onnx")
    found = shifted_net(model)
    encodings = {**symmetric(ranges_of(model)), **found.encodings}
    made = quantized(found.mended.model, encodings)
    assert violations(made.ir) == ()
    # The same with true zero points, where the shift was taken.
    lopsided = {
        name: encoding_of(chosen, replace(SPEC, symmetric=False))
        if name in {change.tensor for change in found.mended.changes}
        else encoding_of(chosen, SPEC)
        for name, chosen in ranges_of(model).items()
    }
    expected = quantized(model, lopsided)
    for x in CALIBRATION:
        for name, array in outputs_of(expected, x).items():
            np.testing.assert_allclose(outputs_of(made, x)[name], array, atol=1e-4 * np.abs(array).max())


def test_errors_become_smaller_behind_silu(tmp_path: Path) -> None:
    net = Net()
    value = net.act("SiLU", net.conv("x", 16))
    for _ in range(4):
        value = net.act("SiLU", net.conv(value, 16, 3))
    net.conv(value, 8)
    model = net.save(tmp_path / "net.onnx")
    found = shifted_net(model)
    encodings = symmetric(ranges_of(model))
    made = quantized(found.mended.model, {**encodings, **found.encodings})
    assert error(made, model) < 0.5 * error(quantized(model, encodings), model)


@pytest.mark.parametrize(("pads", "expected"), [(True, ["silu", "silu"]), (False, ["silu"])])
def test_padding_convolutions_are_left_alone_where_asked(
    tmp_path: Path, pads: bool, expected: list[str]
) -> None:
    net = Net()
    first = net.act("SiLU", net.conv("x", 8))
    net.conv(net.act("SiLU", net.conv(first, 8, 3)), 4)
    model = net.save(tmp_path / "net.onnx")
    found = shifted_net(model, pads=pads).mended
    assert str(found) == f"{len(expected)} shifted"
    operators = [node.op_type for node in found.model.ir.graph]
    assert operators.count("Pad") == (1 if pads else 0)
    assert operators.count("Add") == len(expected)


def test_what_is_symmetric_already_is_left_alone(tmp_path: Path) -> None:
    net = Net()
    net.conv("x", 4)
    model = net.save(tmp_path / "net.onnx")
    assert shifted_net(model).mended.changes == ()
