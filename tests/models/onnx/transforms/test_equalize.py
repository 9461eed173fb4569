"""Equalizing changes no output in float, and a great deal of what INT8 makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transform_nets import Net, amax_of, assert_same, convolutions, images, inputs_of, outputs_of, values_of

from calibrant.core.errors import SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import Range
from calibrant.models.onnx.model import Model, save_model
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.rules import violations
from calibrant.models.onnx.transforms.equalize import (
    SMALLEST_SCALE,
    Equalization,
    equalized,
    equalizing_scales,
    expected_gain,
)
from calibrant.models.onnx.transforms.sites import scaling_sites
from calibrant.models.onnx.transforms.transformed import Transformed

EVERYTHING = Equalization()
ACTIVATIONS = ("Relu", "LeakyRelu", "SiLU", "HardSwish", "Sigmoid", "MaxPool", "Identity")


def transformed(model: Model, wanted: Equalization = EVERYTHING) -> Transformed:
    nodes = convolutions(model)
    return equalized(model, nodes, amax_of(model, inputs_of(model, nodes), images()), wanted)


def separable(act: str = "LeakyRelu", spread: float = 1.5, inner_spread: float = 1.0) -> Net:
    """A block as in mobile detectors: expansion, depthwise, projection.

    spread: of the channels before the depthwise convolution. inner_spread: of those behind it.
    """
    net = Net()
    stem = net.act(act, net.conv("x", 8, 3, spread=spread), **shape_of(act))
    inner = net.act(act, net.depthwise(stem, spread=inner_spread), **shape_of(act))
    net.conv(inner, 5)
    return net


def shape_of(act: str) -> dict[str, list[int]]:
    return {"kernel_shape": [3, 3], "pads": [1] * 4} if act == "MaxPool" else {}


def int8_error(model: Model, reference: Model) -> float:
    """The squared error of a model's output in INT8 with MinMax ranges, relative to the float output's."""
    plan = quant_points(model, TENSORRT)
    tensors = [point.tensor for point in plan.activations]
    amax = {name: float(found.max()) for name, found in amax_of(model, tensors, images()).items()}
    encodings = {name: encoding_of(Range(-high, high), TENSORRT.activations) for name, high in amax.items()}
    quantized = Model(model.path, model.sha256, with_qdq(model, plan, encodings, TENSORRT))
    assert violations(quantized.ir) == ()
    errors = []
    for x in images(seed=2):
        (found,), (true,) = (outputs_of(one, x).values() for one in (quantized, reference))
        errors.append(float(np.square(found - true).sum() / np.square(true).sum()))
    return float(np.mean(errors))


# --- the law: nothing changes in float ---------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(st.sampled_from(ACTIVATIONS), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(("depthwise", "pointwise", "grouped", "full")), min_size=4, max_size=4),
    strength=st.floats(0, 1),
    multiply=st.booleans(),
    branch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equalizing_preserves_the_function(
    tmp_path: Path,
    acts: list[str],
    kinds: list[str],
    strength: float,
    multiply: bool,
    branch: bool,
    seed: int,
) -> None:
    net = Net(seed)
    value = net.conv("x", 8, 3, spread=1.0)
    for act, kind in zip(acts, kinds, strict=False):
        value = net.act(act, value, **shape_of(act))
        group = {"depthwise": 8, "grouped": 2}.get(kind, 1)
        made = net.conv(
            value, 8, 1 if kind == "pointwise" else 3, group=group, spread=1.0, bias=bool(seed % 2)
        )
        value = net.add(value, made) if branch else made
    model = net.save(tmp_path / "net.onnx", opset=14)
    result = transformed(model, Equalization(strength=strength, multiply=multiply)).model
    onnx.checker.check_model(onnx_of(result), full_check=True)
    for x in images(seed=seed):
        assert_same(outputs_of(result, x), outputs_of(model, x), 1e-4)


def onnx_of(model: Model) -> onnx.ModelProto:
    path = model.path.with_name("transformed.onnx")
    save_model(model.ir, path)
    return onnx.load(path)


def test_the_model_that_was_given_stays_as_it_was(tmp_path: Path) -> None:
    model = separable().save(tmp_path / "net.onnx")
    before = outputs_of(model, images()[0])
    nodes = [node.name for node in model.ir.graph]
    assert transformed(model).changes
    assert [node.name for node in model.ir.graph] == nodes
    assert_same(outputs_of(model, images()[0]), before, 0)


# --- what is done where ------------------------------------------------------------------------------


def test_scales_are_folded_through_what_lets_them_pass_and_multiplied_elsewhere(tmp_path: Path) -> None:
    for act, kind in (("LeakyRelu", "folded"), ("MaxPool", "folded"), ("SiLU", "scaled")):
        result = transformed(separable(act).save(tmp_path / "net.onnx", opset=14))
        of_inner = [change.kind for change in result.changes if change.tensor != "x"]
        assert of_inner == [kind, kind], act
        multiplied = [node for node in result.model.ir.graph if (node.name or "").endswith("_equalized_Mul")]
        assert len(multiplied) == [change.kind for change in result.changes].count("scaled")


def test_a_tensor_that_others_see_is_not_changed(tmp_path: Path) -> None:
    net = Net()
    stem = net.act("Relu", net.conv("x", 8, 3, spread=1.5))
    net.add(stem, net.depthwise(stem))
    model = net.save(tmp_path / "net.onnx")
    result = transformed(model)
    assert [change.kind for change in result.changes if change.tensor == stem] == ["scaled"]
    x = images()[0]
    assert_same(values_of(result.model, [stem], x), values_of(model, [stem], x), 1e-5)


def test_an_output_of_the_model_is_not_changed(tmp_path: Path) -> None:
    net = separable()
    stem = net.nodes[1].output[0]
    result = transformed(net.save(tmp_path / "net.onnx", stem, net.last))
    assert [change.kind for change in result.changes if change.tensor == stem] == ["scaled"]


def test_weights_that_are_shared_are_changed_for_one_reader_only(tmp_path: Path) -> None:
    net = Net()
    stem = net.act("Relu", net.conv("x", 8, 3, spread=1.5))
    first = net.depthwise(stem)
    net.nodes[-1].input[1:] = ["shared", "shared_bias"]
    net.depthwise(net.act("Sigmoid", first))
    net.nodes[-1].input[1:] = ["shared", "shared_bias"]
    names = {tensor.name: tensor for tensor in net.weights}
    names["w2"].name, names["b2"].name = "shared", "shared_bias"
    model = net.save(tmp_path / "net.onnx")
    result = transformed(model)
    assert len(result.changes) >= 2
    assert_same(outputs_of(result.model, images()[0]), outputs_of(model, images()[0]), 1e-4)


def test_depthwise_and_other_readers_are_sites_of_their_own(tmp_path: Path) -> None:
    net = Net()
    stem = net.act("Relu", net.conv("x", 8, 3))
    wise, point = net.depthwise(stem), net.conv(stem, 8)
    net.add(wise, point)
    model = net.save(tmp_path / "net.onnx")
    found = [site for site in scaling_sites(model, convolutions(model)) if site.tensor == stem]
    assert [(site.is_depthwise, site.producer) for site in found] == [(True, None), (False, None)]
    assert [site.key for site in found] == [f"{wise}_node", f"{point}_node"]


def test_only_what_is_wanted_is_equalized(tmp_path: Path) -> None:
    model = separable("SiLU").save(tmp_path / "net.onnx", opset=14)
    nodes = convolutions(model)
    depthwise = {nodes[1]}

    def readers(wanted: Equalization) -> set[str]:
        return {name for change in transformed(model, wanted).changes for name in change.nodes}

    assert readers(Equalization(strength=0)) == depthwise
    assert readers(Equalization(depthwise=False)).isdisjoint(depthwise)
    assert readers(Equalization(skipped=[nodes[1]])).isdisjoint(depthwise)
    assert readers(Equalization(multiply=False)) == set()
    assert readers(Equalization(least_gain=50)) == set()
    assert equalized(model, nodes, {}).changes == ()
    assert str(equalized(model, nodes, {})) == "nothing changed"


# --- what it brings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["LeakyRelu", "SiLU"])
def test_outlier_channels_cost_less_in_int8(tmp_path: Path, act: str) -> None:
    model = separable(act, spread=2.0, inner_spread=0).save(tmp_path / "depthwise.onnx", opset=14)
    assert int8_error(transformed(model).model, model) < 0.6 * int8_error(model, model)
    model = separable(act, spread=0, inner_spread=2.0).save(tmp_path / "pointwise.onnx", opset=14)
    assert int8_error(transformed(model).model, model) < 0.6 * int8_error(model, model)


def test_channels_before_depthwise_convolutions_get_one_range(tmp_path: Path) -> None:
    model = separable(spread=1.0).save(tmp_path / "net.onnx")
    nodes = convolutions(model)
    tensor = inputs_of(model, nodes)[1]
    amax = amax_of(transformed(model, Equalization(strength=0)).model, [tensor], images())[tensor]
    np.testing.assert_allclose(amax, amax.max(), rtol=1e-4)


@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=9),
    st.floats(0, 1),
)
def test_scales_are_positive_and_no_larger_than_one(amax: list[float], strength: float) -> None:
    magnitudes = np.array(amax, np.float32)
    scales = equalizing_scales(magnitudes, magnitudes[::-1], strength)
    assert (scales >= SMALLEST_SCALE).all()
    assert scales.max() == 1


def test_the_expected_gain_of_one_large_channel_of_many_is_its_bits() -> None:
    amax = np.array([16] + [1] * 4095, np.float32)
    energy = np.ones_like(amax)
    assert expected_gain(amax, energy, np.ones_like(amax)) == 0
    assert expected_gain(amax, energy, amax / np.float32(16)) == pytest.approx(4, abs=0.1)


# --- mistakes ----------------------------------------------------------------------------------------


def test_channels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = separable().save(tmp_path / "net.onnx")
    nodes = convolutions(model)
    with pytest.raises(SettingsError, match="5 channels were measured of"):
        equalized(model, nodes, {inputs_of(model, nodes)[1]: np.ones(5, np.float32)})


def test_a_strength_above_one_means_nothing() -> None:
    with pytest.raises(SettingsError, match=r"strength of 1.5 means nothing"):
        Equalization(strength=1.5)
