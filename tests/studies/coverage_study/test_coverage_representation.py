"""Does it represent: one source twice, a wider one, a shifted one, and too few samples to tell."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.types import Range
from calibrant.stages.coverage.summary import SetSummary, random_halves, summarised, summary_of
from calibrant.studies.coverage.representation import DOES_NOT, REPRESENTS, SPLITS, TOO_FEW, compared

RANGE = Range(-2.0, 2.0)


def images(count: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=400) * scale + shift).astype(np.float32) for _ in range(count)]


def summary(**tensors: list[NDArray[np.float32]]) -> SetSummary:
    count = len(next(iter(tensors.values())))
    rows = [
        {name: summary_of([values[i]], [RANGE]) for name, values in tensors.items()} for i in range(count)
    ]
    return summarised(list(tensors), rows, 1, random_halves(count, SPLITS, 0))


def ranges(*tensors: str) -> dict[str, dict[str, Range]]:
    return {"c": dict.fromkeys(tensors, RANGE)}


@pytest.mark.parametrize("seed", range(5))
def test_one_source_represents_itself(seed: int) -> None:
    found = compared(summary(x=images(40, seed)), summary(x=images(80, seed + 100)), ranges("x"), "test")
    assert (found.verdict, found.reasons) == (REPRESENTS, ())
    assert found.expected_outside == pytest.approx(1 / 41)


def test_wider_activations_are_outside_and_the_tensor_is_named() -> None:
    calibration = summary(same=images(40, 0), wide=images(40, 1))
    other = summary(same=images(60, 2), wide=images(60, 3, scale=3))
    found = compared(calibration, other, ranges("same", "wide"), "test")
    assert found.verdict == DOES_NOT
    first, second = found.tensors
    assert (first.tensor, first.findings) == ("wide", ("outside", "shifted"))
    assert (second.tensor, second.findings) == ("same", ())
    assert first.samples_outside == 1
    assert first.excess == pytest.approx(first.compared_high / first.high - 1, rel=0.5)
    assert "1 of 2 tensors leave" in found.reasons[0]
    assert found.reasons[0].endswith(": wide")


def test_a_shift_inside_the_range_is_seen_by_the_distance() -> None:
    calibration = images(40, 0, scale=1.0)
    calibration[0][0], calibration[0][1] = 50.0, -50.0
    other = summary(x=images(60, 1, scale=0.3, shift=3.0))
    found = compared(summary(x=calibration), other, ranges("x"), "pool")
    assert found.verdict == DOES_NOT
    assert found.tensors[0].findings == ("shifted",)
    assert found.tensors[0].distance > 5 * found.tensors[0].largest_noise
    assert found.compared_with == "pool"


def test_clipping_is_counted_in_both_sets() -> None:
    calibration, other = images(20, 0), images(30, 1, scale=2)
    found = compared(summary(x=calibration), summary(x=other), ranges("x"), "test").tensors[0].clipping["c"]
    assert found.calibration_share == np.mean([abs(values) > 2 for values in calibration])
    assert found.share == np.mean([abs(values) > 2 for values in other])
    assert found.samples == 1


def test_too_few_images_prove_nothing() -> None:
    found = compared(summary(x=images(4, 0)), summary(x=images(50, 1)), ranges("x"), "test")
    assert found.verdict == TOO_FEW
    assert "4 calibration samples" in found.reasons[-1]


def test_a_tensor_that_is_always_zero_is_no_finding() -> None:
    zeros = [np.zeros(10, np.float32)] * 20
    found = compared(summary(x=zeros), summary(x=zeros), ranges("x"), "test")
    assert (found.verdict, found.tensors[0].excess, found.tensors[0].distance) == (REPRESENTS, 0, 0)
