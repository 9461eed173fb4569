import numpy as np

from calibrant.core.quantize import encoding_of
from calibrant.core.types import Encoding, QuantSpec, Range
from calibrant.stages.diagnosis.swap import differing, swapped


def encoded(amax: float) -> Encoding:
    return encoding_of(Range(-amax, amax), QuantSpec())


LOSING = {
    "same": encoded(1),
    "near": encoded(1),
    "wide": encoded(8),
    "narrow": encoded(0.01),
    "own": encoded(1),
}
WINNING = {"same": encoded(1), "near": encoded(1.1), "wide": encoded(1), "narrow": encoded(1)}


def test_tensors_differ_most_first_whichever_way() -> None:
    assert differing(LOSING, WINNING) == ("narrow", "wide", "near")


def test_a_zero_point_is_a_difference() -> None:
    spec = QuantSpec("uint8", symmetric=False)
    one, two = encoding_of(Range(-1, 1), spec), encoding_of(Range(-0.5, 1.5), spec)
    assert np.array_equal(one.scale, two.scale)
    assert differing({"t": one}, {"t": two}) == ("t",)


def test_only_the_named_tensors_are_swapped() -> None:
    mixed = swapped(LOSING, WINNING, ["wide"])
    assert mixed["wide"] is WINNING["wide"]
    assert all(mixed[name] is LOSING[name] for name in LOSING if name != "wide")
