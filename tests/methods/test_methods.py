"""What each method is worth having for, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.error_feedback import damped, feedback
from calibrant.core.errors import NumericsError, SettingsError
from calibrant.core.format_names import format_named
from calibrant.core.formats import Format, PerBlock, decode, encode
from calibrant.methods import InputStatistics, method_named
from calibrant.methods.grids import least_squares, squared_errors, widest
from calibrant.methods.rounding import output_errors


def _case(outputs: int = 48, inputs: int = 256) -> tuple[NDArray[np.float32], InputStatistics]:
    """A weight and inputs of which few directions carry most."""
    rng = np.random.default_rng(17)
    seen = rng.standard_normal((2000, 60)) @ rng.standard_normal((60, inputs))
    seen = (seen * np.exp(rng.standard_normal(inputs)) + 0.3 * rng.standard_normal((2000, inputs))).astype(
        np.float32
    )
    weight = rng.standard_normal((outputs, inputs)).astype(np.float32)
    return weight, InputStatistics(np.abs(seen).max(axis=0), seen.T @ seen / np.float32(len(seen)))


def _format(name: str) -> Format:
    found = format_named(name).weights
    assert found is not None
    return found


def _loss(method: str, name: str) -> float:
    weight, inputs = _case()
    found = method_named(method)(weight, _format(name), inputs).effective()
    return float(output_errors(weight, found, inputs.require_moments("it")).sum())


@pytest.mark.parametrize(
    "name", ["w4a16-g32", "w3a16-g32", "w3a16-g32-asym", "w4a16-channel", "nvfp4", "mxfp4"]
)
def test_each_step_loses_less_in_the_outputs(name: str) -> None:
    rtn, gptq, both, descended = (_loss(each, name) for each in ("rtn", "gptq", "mse+gptq", "mse+descent"))
    assert gptq < 0.6 * rtn
    assert both < 1.1 * gptq
    assert descended < 0.97 * both


@pytest.mark.parametrize(
    "name", ["w4a16-g32", "w3a16-g32", "w4a16-g32-asym", "w4a16-channel", "nvfp4", "q4_1"]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_mse_loses_less_of_the_weight_in_every_block(name: str, weighted: bool) -> None:
    weight, inputs = _case()
    importance = inputs.importance if weighted else None
    form = _format(name)
    found = squared_errors(weight, least_squares(weight, form, importance), importance)
    plain = squared_errors(weight, widest(weight, form), importance)
    assert (found <= plain).all()
    assert found.sum() < 0.95 * plain.sum()


def test_squared_errors_are_those_of_what_comes_back() -> None:
    weight, inputs = _case()
    for name in ("w4a16-g32", "w4a16-g32-asym", "fp8-block", "fp8-static", "q4_1", "w8a8"):
        grid = widest(weight, _format(name))
        lost = np.square(decode(encode(weight, grid.format, grid)).astype(np.float64) - weight)
        lost *= inputs.importance if inputs.importance is not None else 1
        found = squared_errors(weight, grid, inputs.importance)
        np.testing.assert_allclose(found.sum(dtype=np.float64), lost.sum(), rtol=1e-4)


def test_gptq_is_the_published_recursion() -> None:
    """The same integers as with the Cholesky factor of the inverse (GPTQ, algorithm 1), in act-order."""
    weight, inputs = _case(16, 96)
    form = _format("w4a16-g32")
    grid = widest(weight, form)
    moments = damped(inputs.require_moments("it")).astype(np.float64)
    order = np.argsort(-np.diagonal(moments), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    steps = np.repeat(grid.step, 32, axis=1)[:, order].astype(np.float64)
    left, stored = weight[:, order].astype(np.float64), np.empty((16, 96))
    for index in range(96):
        stored[:, index] = np.clip(np.rint(left[:, index] / steps[:, index]), -8, 7)
        error = (left[:, index] - stored[:, index] * steps[:, index]) / factor[index, index]
        left[:, index:] -= np.outer(error, factor[index, index:])
    expected = np.empty((16, 96))
    expected[:, order] = stored
    found = method_named("gptq")(weight, form, inputs).encoded.codes
    assert (found != expected).mean() < 0.002  # ties in single precision


def test_feedback_is_the_unit_factor_of_the_moments() -> None:
    moments = damped(_case()[1].require_moments("it").astype(np.float64))
    upper, counts = feedback(moments)
    assert np.array_equal(upper, np.triu(upper))
    np.testing.assert_array_equal(np.diagonal(upper), 1)
    inner = np.linalg.solve(upper, np.linalg.solve(upper, moments).T)
    np.testing.assert_allclose(inner, np.diag(counts), rtol=1e-7, atol=1e-8 * moments.max())


def test_moments_that_are_none_are_refused() -> None:
    weight, _ = _case()
    wrong = -np.eye(256, dtype=np.float32)
    with pytest.raises(NumericsError, match="not positive definite, even damped"):
        method_named("gptq")(weight, _format("w4a16-g32"), InputStatistics(None, wrong))


def test_awq_protects_the_inputs_that_matter() -> None:
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((64, 128)).astype(np.float32)
    size = np.ones(128, np.float32)
    size[5] = 30
    inputs = InputStatistics(size, np.diag(size**2))
    found = method_named("awq")(weight, _format("w4a16-g32"), inputs)
    assert found.input_scale is not None
    assert found.input_scale[5] == found.input_scale.max()
    moments = inputs.require_moments("it")
    plain = method_named("rtn")(weight, _format("w4a16-g32"), inputs).effective()
    errors = [output_errors(weight, each, moments).sum() for each in (found.effective(), plain)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("moments", [False, True])
def test_smoothquant_evens_out_large_inputs(moments: bool) -> None:
    weight, _ = _case()
    peaks = np.ones(256, np.float32)
    peaks[9] = 100
    second = np.diag(np.square(peaks / 3)) if moments else None
    found = method_named("smoothquant")(weight, _format("w8a8"), InputStatistics(peaks, second))
    assert found.input_scale is not None
    left = peaks / found.input_scale
    assert left.max() / left.min() < 20
    lost = found.effective() - weight
    assert np.square(lost).mean() < 2e-3


def test_products_that_share_inputs_may_be_stacked() -> None:
    weight, inputs = _case()
    whole = method_named("mse+descent")(weight, _format("w4a16-g32"), inputs).encoded
    part = method_named("mse+descent")(weight[10:20], _format("w4a16-g32"), inputs).encoded
    assert (whole.codes[10:20] != part.codes).mean() < 0.01  # products of other shapes round differently


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "best", "gptq+descent", "awq+smoothquant", "rtn+mse", "mse+mse"])
def test_unknown_sums_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="a method is a sum of at most one of awq, smoothquant"):
        method_named(name)


@pytest.mark.parametrize("name", ["gptq", "descent", "awq", "smoothquant"])
def test_statistics_that_are_missing_are_named(name: str) -> None:
    with pytest.raises(
        SettingsError, match=r"needs the inputs' (second moments|largest magnitudes); calibrate"
    ):
        method_named(name)(_case()[0], _format("w4a16-g32"), InputStatistics())


def test_methods_say_what_they_need() -> None:
    needs = {
        name: (method_named(name).needs_amax, method_named(name).needs_moments) for name in ("rtn", "mse")
    }
    assert needs == {"rtn": (False, False), "mse": (False, False)}
    assert method_named("awq").needs_moments
    assert method_named("mse+gptq").needs_moments
    assert method_named("smoothquant").needs_amax
    assert method_named("awq").scales_inputs


def test_shapes_that_do_not_fit_are_refused() -> None:
    weight, inputs = _case()
    with pytest.raises(
        SettingsError, match=r"\(outputs, inputs\), not \(2, 48, 256\); give experts one by one"
    ):
        method_named("rtn")(np.stack([weight, weight]), _format("w8a8"))
    with pytest.raises(SettingsError, match=r"needs largest magnitudes of shape \(128,\), not \(256,\)"):
        method_named("rtn")(weight[:, :128], _format("w8a8"), inputs)
    with pytest.raises(SettingsError, match=r"use PerBlock\(-1, size\)"):
        method_named("gptq")(weight, Format(_format("w8a8").element, PerBlock(0, 4)), inputs)
