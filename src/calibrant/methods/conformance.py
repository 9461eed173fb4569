"""Conformance cases of methods; ``calibrant.testing`` gives them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from calibrant.core.elements import FloatArray
from calibrant.core.errors import NumericsError
from calibrant.core.format_names import format_named
from calibrant.core.formats import Format, decode
from calibrant.methods.registry import method_named
from calibrant.methods.rounding import output_errors
from calibrant.methods.types import InputStatistics, QuantizedWeight

FORMATS = (
    "w8a8", "w4a16-g32", "w4a16-g32-asym", "w4a16-channel", "w3a16-g32", "fp8", "fp8-static", "fp8-block",
    "nvfp4", "mxfp4", "q4_0", "q4_1", "q8_0",
)  # fmt: skip
_SHAPE = 24, 128


class MethodConformance:
    """A method is a pure function that gives a weight's codes in the format that was asked for.

    never_worse: whether outputs never lose more than with the same method's grid and values rounded by
    themselves. exact_on_grids: whether weights that came from a format's integers or floats, of which each
    block uses the largest, are stored without loss.
    """

    method: Callable[[FloatArray, Format, InputStatistics], QuantizedWeight]
    never_worse: bool = False
    exact_on_grids: bool = False

    def weights(self) -> Mapping[str, FloatArray]:
        """The weights that every case is tried on, (24, 128), by name; override to add your own."""
        rng = np.random.default_rng(20240229)
        normal = rng.standard_normal(_SHAPE).astype(np.float32)
        outlier = normal.copy()
        outlier[3, 5] = 100
        return {
            "normal": normal,
            "heavy-tailed": normal**3,
            "one outlier": outlier,
            "zeros": np.zeros(_SHAPE, np.float32),
            "positive": np.abs(normal) + np.float32(0.1),
            "small": normal * np.float32(1e-3),
        }

    def inputs(self) -> InputStatistics:
        """Statistics of inputs that move together, one of them never and one hundred times as much."""
        rng = np.random.default_rng(3)
        mixed = rng.standard_normal((400, 40)) @ rng.standard_normal((40, _SHAPE[1]))
        seen = (mixed + rng.standard_normal((400, _SHAPE[1]))).astype(np.float32)
        seen[:, 7] = 0
        seen[:, 11] *= 100
        return InputStatistics(np.abs(seen).max(axis=0), seen.T @ seen / len(seen))

    def test_it_is_pure(self) -> None:
        """The same weight gives the same bits, and is left as it was; so are the statistics."""
        inputs, (weight, kept) = self.inputs(), (self.weights()["normal"], self.weights()["normal"])
        for name in FORMATS:
            first, second = (self.method(weight, _format(name), inputs) for _ in range(2))
            assert first.encoded.codes.tobytes() == second.encoded.codes.tobytes(), name
            assert first.encoded.grid.scale.tobytes() == second.encoded.grid.scale.tobytes(), name
        assert weight.tobytes() == kept.tobytes()
        assert np.array_equal(inputs.require_moments("it"), self.inputs().require_moments("it"))

    def test_codes_and_scales_are_those_of_the_format(self) -> None:
        """Codes in its range, scales that its type holds, none zero; all decodes to finite numbers."""
        for name in FORMATS:
            for kind, weight in self.weights().items():
                encoded = self.method(weight, _format(name), self.inputs()).encoded
                numbers = encoded.format.element.values(encoded.codes)
                assert encoded.format == _format(name), (name, kind)
                assert encoded.codes.shape == weight.shape, (name, kind)
                assert numbers.min() >= encoded.format.lowest, (name, kind)
                assert numbers.max() <= encoded.format.highest, (name, kind)
                scale = encoded.grid.scale
                assert np.array_equal(encoded.format.scale_type.round(scale), scale), (name, kind)
                assert (scale != 0).all(), (name, kind)
                assert np.isfinite(decode(encoded)).all(), (name, kind)

    def test_the_weight_that_inputs_meet_is_near(self) -> None:
        """In 8 bits outputs lose a twentieth at most, with the inputs' scales taken out again."""
        weight, moments = self.weights()["normal"], self.inputs().require_moments("it")
        given = output_errors(weight, np.zeros_like(weight), moments).sum()
        for name in ("w8a8", "q8_0"):
            found = self.method(weight, _format(name), self.inputs()).effective()
            assert output_errors(weight, found, moments).sum() < 0.05**2 * given, name

    def test_zeros_stay_zeros(self) -> None:
        """A weight of zeros is stored exactly."""
        for name in FORMATS:
            found = self.method(self.weights()["zeros"], _format(name), self.inputs()).effective()
            assert not found.any(), name

    def test_nan_is_refused(self) -> None:
        """A weight with NaN raises NumericsError."""
        weight = self.weights()["normal"].copy()
        weight[2, 3] = np.nan
        try:
            self.method(weight, _format("w4a16-g32"), self.inputs())
        except NumericsError:
            return
        raise AssertionError("NumericsError was not raised")

    def test_it_is_never_worse_than_rounding_to_nearest(self) -> None:
        """Where it claims so: outputs lose no more than those of rtn and of mse, whichever grid it has."""
        if not self.never_worse:
            return
        inputs = self.inputs()
        moments = inputs.require_moments("it")
        for name in FORMATS:
            for kind, weight in self.weights().items():
                errors = [
                    output_errors(weight, method(weight, _format(name), inputs).effective(), moments).sum()
                    for method in (self.method, method_named("rtn"))
                ]
                assert errors[0] <= errors[1] * 1.02 + 1e-12, (name, kind, errors)

    def test_native_grids_are_exact(self) -> None:
        """Where it claims so: what a format gave back before is stored without loss."""
        if not self.exact_on_grids:
            return
        rng = np.random.default_rng(5)
        for name in ("w4a16-g32", "w3a16-g32", "w8a8", "q8_0", "q4_0"):
            form = _format(name)
            for end in {int(form.highest), -int(form.lowest)}:
                numbers = rng.integers(1 - end, end, _SHAPE).astype(np.float32)
                numbers[:, ::32] = end if end == form.highest else -end
                steps = 2.0 ** rng.integers(-8, 0, (_SHAPE[0], 1)) * rng.choice(
                    [1, 1.25, 1.375], (_SHAPE[0], 1)
                )
                weight = (numbers * steps).astype(np.float32)
                found = self.method(weight, form, self.inputs()).effective()
                assert np.array_equal(found, weight), (name, end)


def _format(name: str) -> Format:
    found = format_named(name).weights
    assert found is not None
    return found
