"""Weights rounded together: outputs change less than where each weight takes the nearest step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transform_nets import Net, convolutions, outputs_of, values_of

from calibrant.core.quantize import dequantized, on_axis, quantized, weight_encoding
from calibrant.core.schemes import TENSORRT
from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.models.onnx.transforms.rounding import Moments, rounded_steps, rounded_weights, with_rounded
from calibrant.models.onnx.transforms.transformed import Transformed
from calibrant.models.onnx.transforms.weights import is_mendable, weight_of
from calibrant.models.onnx.transforms.windows import windows_of

QMAX = 127


def correlated(seed: int, inputs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of four outputs, in steps, and the covariance of their inputs, which have much in common."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(inputs, 2)) @ random.normal(size=(2, 200))
    covariance = np.cov(common + 0.3 * random.normal(size=common.shape)).reshape(inputs, inputs)
    weights = random.normal(size=(4, inputs))
    return QMAX * weights / np.abs(weights).max(axis=1, keepdims=True), covariance


def harm(steps: NDArray[np.float64], weights: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    error = steps - weights
    return float(np.einsum("oi,ij,oj->", error, covariance, error))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), inputs=st.integers(2, 40))
def test_steps_are_whole_in_range_and_keep_the_scale(seed: int, inputs: int) -> None:
    weights, covariance = correlated(seed, inputs)
    steps = rounded_steps(weights, covariance, QMAX)
    np.testing.assert_array_equal(steps, np.rint(steps))
    np.testing.assert_array_equal(np.abs(steps).max(axis=1), QMAX)


def test_outputs_change_less_than_by_nearest_steps() -> None:
    harms = []
    for seed in range(30):
        weights, covariance = correlated(seed, 27)
        together = harm(rounded_steps(weights, covariance, QMAX), weights, covariance)
        harms.append(together / harm(np.rint(weights), weights, covariance))
    assert np.median(harms) < 0.5
    assert max(harms) < 1


def test_inputs_that_move_alone_are_rounded_to_the_nearest() -> None:
    weights, _ = correlated(1, 12)
    steps = rounded_steps(weights, np.diag(np.arange(1.0, 13.0)), QMAX)
    np.testing.assert_array_equal(steps, np.rint(weights))


def test_inputs_that_never_move_do_no_harm() -> None:
    weights, _ = correlated(2, 8)
    steps = rounded_steps(weights, np.zeros((8, 8)), QMAX)
    np.testing.assert_array_equal(steps, np.rint(weights))


CALIBRATION = [np.random.default_rng(seed).normal(size=(1, 3, 6, 6)).astype(np.float32) for seed in range(8)]


def moments_of(model: Model) -> dict[str, Moments]:
    windows = windows_of(model, convolutions(model), most_weights=1000)
    found = {}
    for window in windows:
        seen = [values_of(model, [window.tensor], x)[window.tensor] for x in CALIBRATION]
        read = np.concatenate([window.read(x, 1000, seed=0) for x in seen]).astype(np.float64)
        centred = read - read.mean(axis=0)
        covariance = np.einsum("pgi,pgj->gij", centred, centred) / len(read)
        found[window.node] = Moments(read.mean(axis=0), covariance)
    return found


def plan_of(model: Model, *exclude: str) -> QuantPoints:
    return quant_points(model, TENSORRT, exclude)


def rounded(model: Model, plan: QuantPoints, moments: dict[str, Moments]) -> Transformed:
    found = rounded_weights(model, plan_of(model), TENSORRT.weights, moments)
    return with_rounded(model, plan, found)


def error(found: Model, true: Model) -> FloatArray:
    (name,) = (value.name or "" for value in true.ir.graph.outputs)
    return np.stack([outputs_of(found, x)[name] - outputs_of(true, x)[name] for x in CALIBRATION])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), kernel=st.sampled_from((1, 3)), group=st.sampled_from((1, 4, 8)))
def test_what_is_stored_is_what_was_rounded(tmp_path: Path, seed: int, kernel: int, group: int) -> None:
    net = Net(seed)
    net.conv(net.act("Relu", net.conv("x", 8)), 8, kernel, group=group, bias=bool(seed % 2))
    model = net.save(tmp_path / "net.onnx")
    transformed = rounded(model, plan_of(model), moments_of(model))
    assert str(transformed) == "2 rounded"
    for before, after in zip(
        filter(is_mendable, model.ir.graph), filter(is_mendable, transformed.model.ir.graph), strict=True
    ):
        spec = on_axis(TENSORRT.weights, 0)
        encoding = weight_encoding(weight_of(after), spec)
        np.testing.assert_allclose(encoding.scale, weight_encoding(weight_of(before), spec).scale, rtol=1e-6)
        stored = dequantized(quantized(weight_of(after), encoding), encoding)
        np.testing.assert_allclose(stored, weight_of(after), atol=1e-6 * np.abs(stored).max())


def test_a_convolution_gives_the_same_mean_with_less_error(tmp_path: Path) -> None:
    net = Net(4)
    net.conv(net.act("Relu", net.conv("x", 8)), 8, 3)
    model = net.save(tmp_path / "net.onnx")
    moments = moments_of(model)
    transformed = rounded(model, plan_of(model, "conv0_node"), moments).model
    off = error(transformed, model)
    assert np.abs(off.mean(axis=(0, 1, 3, 4))).max() < 1e-4 * off.std()


def test_what_was_not_measured_or_is_not_quantized_is_left_alone(tmp_path: Path) -> None:
    net = Net()
    net.conv(net.conv("x", 4), 4)
    model = net.save(tmp_path / "net.onnx")
    moments = moments_of(model)
    assert rounded(model, plan_of(model), {}).changes == ()
    one = rounded(model, plan_of(model, "conv0_node"), moments)
    assert [change.nodes for change in one.changes] == [("conv1_node",)]
    assert error(rounded(model, plan_of(model, "conv*"), moments).model, model).max() == 0


@pytest.mark.parametrize(("kernel", "group"), [(1, 1), (3, 1), (3, 4)])
def test_a_window_holds_what_an_output_is_made_of(tmp_path: Path, kernel: int, group: int) -> None:
    net = Net(7)
    source = net.conv("x", 4)
    name = net.conv(source, 8, kernel, group=group, bias=False)
    model = net.save(tmp_path / "net.onnx")
    (window,) = windows_of(model, [f"{name}_node"], most_weights=1000)
    values = values_of(model, [source, name], CALIBRATION[0])
    read = window.read(values[source], 1000, seed=3)
    (node,) = (node for node in model.ir.graph if node.name == f"{name}_node")
    weight = weight_of(node).reshape(group, 8 // group, -1)
    given = np.einsum("pgk,gok->pgo", read, weight).reshape(len(read), 8)
    expected = values[name][0].reshape(8, -1).T
    np.testing.assert_allclose(
        given[np.lexsort(given.T)], expected[np.lexsort(expected.T)], rtol=1e-4, atol=1e-4
    )


def test_large_windows_are_left_out(tmp_path: Path) -> None:
    net = Net()
    net.conv(net.conv("x", 4), 4, 3)
    model = net.save(tmp_path / "net.onnx")
    assert [window.kernel for window in windows_of(model, convolutions(model), most_weights=20)] == [(1, 1)]
