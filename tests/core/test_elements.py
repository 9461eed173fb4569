from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibrant.core.elements import ELEMENTS, SCALE_TYPES, CodeArray, ElementType, element_named
from calibrant.core.errors import NumericsError, SettingsError

FLOATS = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
SMALL = [each for each in ELEMENTS.values() if each.bits <= 8]
reals = hnp.arrays(np.float32, 12, elements=st.floats(-1000, 1000, width=32))


@pytest.mark.parametrize("name", FLOATS)
@given(values=reals, exponent=st.integers(-20, 6))
def test_floats_round_as_ml_dtypes(name: str, values: NDArray[np.float32], exponent: int) -> None:
    element = ELEMENTS[name]
    given = np.ldexp(values, exponent)
    expected = np.clip(given, element.lowest, element.highest).astype(FLOATS[name])
    np.testing.assert_array_equal(element.round(given), expected.astype(np.float32))
    np.testing.assert_array_equal(element.codes(element.round(given)), expected.view(np.uint8))


@pytest.mark.parametrize("name", FLOATS)
def test_every_code_is_ml_dtypes_own(name: str) -> None:
    element = ELEMENTS[name]
    codes = np.arange(1 << element.bits, dtype=np.uint8)
    expected = codes.view(FLOATS[name]).astype(np.float32)
    expected[np.isinf(expected)] = np.nan
    np.testing.assert_array_equal(element.values(codes), expected)


def _codes(element: ElementType) -> CodeArray:
    first = int(element.lowest) if element.is_integer else 0
    return (np.arange(1 << element.bits) + first).astype(np.int8 if first else np.uint8)


@pytest.mark.parametrize("element", SMALL, ids=lambda element: element.name)
def test_all_values_of_a_type_come_back(element: ElementType) -> None:
    codes = _codes(element)
    values = element.values(codes)
    codes, values = codes[np.isfinite(values)], values[np.isfinite(values)]
    np.testing.assert_array_equal(element.round(values), values)
    np.testing.assert_array_equal(element.codes(values), codes)
    assert (values.min(), values.max()) == (element.lowest, element.highest)


@pytest.mark.parametrize("element", SMALL, ids=lambda element: element.name)
@given(values=reals)
def test_no_value_of_a_type_is_nearer_than_the_rounded(
    element: ElementType, values: NDArray[np.float32]
) -> None:
    codes = _codes(element)
    numbers = element.values(codes)
    distances = np.abs(values[:, None].astype(np.float64) - numbers[np.isfinite(numbers)])
    np.testing.assert_array_equal(
        np.abs(values.astype(np.float64) - element.round(values)), distances.min(axis=1)
    )


def test_integers_round_halves_to_even_and_saturate() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 6.5, 7.5, 99, -99], np.float32)
    np.testing.assert_array_equal(ELEMENTS["int4"].round(values), [0, 2, 2, 0, -2, 6, 7, 7, -8])
    np.testing.assert_array_equal(ELEMENTS["int3"].round(values), [0, 2, 2, 0, -2, 3, 3, 3, -4])


def test_limits_are_those_of_the_types() -> None:
    limits = {name: (element.lowest, element.highest) for name, element in ELEMENTS.items()}
    assert limits == {
        "int3": (-4, 3),
        "int4": (-8, 7),
        "int8": (-128, 127),
        "uint4": (0, 15),
        "uint8": (0, 255),
        "int32": (-(2**31), 2**31 - 1),
        "e4m3": (-448, 448),
        "e5m2": (-57344, 57344),
        "e2m1": (-6, 6),
    }


def test_unknown_types_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match="no element type is called 'int5'; known: e2m1, e4m3"):
        element_named("int5")


def test_integers_of_more_than_eight_bits_are_no_codes() -> None:
    with pytest.raises(SettingsError, match="int32 has more than 8 bits"):
        ELEMENTS["int32"].codes(np.zeros(1, np.float32))


# --- scales ------------------------------------------------------------------------------------------

ROUNDED = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "e4m3": ml_dtypes.float8_e4m3fn}
scales = hnp.arrays(np.float32, 12, elements=st.floats(0.03125, 400, width=32))


@pytest.mark.parametrize("name", ROUNDED)
@given(given_scales=scales)
def test_scales_round_and_are_stored_as_ml_dtypes(name: str, given_scales: NDArray[np.float32]) -> None:
    kind = SCALE_TYPES[name]
    expected = given_scales.astype(ROUNDED[name])
    rounded = kind.round(given_scales)
    np.testing.assert_array_equal(rounded, expected.astype(np.float32))
    assert kind.codes(rounded).tobytes() == expected.tobytes()


@given(given_scales=scales)
def test_powers_of_two_are_the_nearest_exponents(given_scales: NDArray[np.float32]) -> None:
    kind = SCALE_TYPES["e8m0"]
    rounded = kind.round(given_scales)
    assert np.abs(np.log2(rounded) - np.log2(given_scales)).max() <= 0.5 + 1e-6
    expected = rounded.astype(ml_dtypes.float8_e8m0fnu)
    np.testing.assert_array_equal(expected.astype(np.float32), rounded)
    assert kind.codes(rounded).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", SCALE_TYPES)
def test_no_scale_becomes_zero(name: str) -> None:
    assert SCALE_TYPES[name].round(np.array([1e-30], np.float32)) > 0


@pytest.mark.parametrize(("name", "scale"), [("f16", 1e6), ("e4m3", 500.0)])
def test_a_scale_that_its_type_cannot_hold_is_refused(name: str, scale: float) -> None:
    with pytest.raises(NumericsError, match=f"too large for {name}"):
        SCALE_TYPES[name].round(np.array([1, scale], np.float32))
