"""Every method of the table fits in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibrant.core.elements import FloatArray
from calibrant.core.formats import Format
from calibrant.methods import METHODS, InputStatistics, QuantizedWeight, method_named
from calibrant.testing import MethodConformance

EXACT = ("mse", "mse+gptq", "mse+descent")


class TestEveryMethod(MethodConformance):
    @pytest.fixture(autouse=True, params=METHODS)
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.method = method_named(request.param)
        self.never_worse = "descent" in request.param
        self.exact_on_grids = request.param in EXACT


# --- and each case catches the fault it is there for ---------------------------------------------------

RTN = method_named("rtn")


def _random(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return RTN(weight * np.float32(np.random.default_rng().uniform(0.5, 1)), format, inputs)


def _other_format(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return RTN(weight, replace(format, dynamic=format.element.bits == 8), inputs)


def _unscaled(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return replace(RTN(weight, format, inputs), input_scale=np.full(weight.shape[1], 2, np.float32))


def _ones(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return RTN(np.where(weight == 0, np.float32(1), weight), format, inputs)


def _blind(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return RTN(np.nan_to_num(weight), format, inputs)


def _narrow(weight: FloatArray, format: Format, inputs: InputStatistics) -> QuantizedWeight:  # noqa: A002
    return RTN(weight * np.float32(0.8), format, inputs)


FAULTY = {
    "random": (_random, "test_it_is_pure"),
    "another format": (_other_format, "test_codes_and_scales_are_those_of_the_format"),
    "scales that were not taken": (_unscaled, "test_the_weight_that_inputs_meet_is_near"),
    "no zeros": (_ones, "test_zeros_stay_zeros"),
    "blind": (_blind, "test_nan_is_refused"),
    "worse": (_narrow, "test_it_is_never_worse_than_rounding_to_nearest"),
    "inexact": (RTN, "test_native_grids_are_exact"),
}


@pytest.mark.parametrize(("method", "case"), FAULTY.values(), ids=FAULTY)
def test_a_fault_is_caught(method: object, case: str) -> None:
    conformance = MethodConformance()
    conformance.method = method  # type: ignore[assignment]
    conformance.never_worse = conformance.exact_on_grids = True
    with pytest.raises(AssertionError):
        getattr(conformance, case)()
