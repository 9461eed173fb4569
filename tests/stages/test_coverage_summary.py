"""Summaries of images: they add up, and count what a loop over all values would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.types import Range
from calibrant.stages.coverage.bins import BINS, HALF
from calibrant.stages.coverage.summary import random_halves, summarised, summary_of

VALUES = arrays(np.float32, st.integers(1, 60), elements=st.floats(-(2.0**99), 2.0**99, width=32))
pytestmark = pytest.mark.usefixtures("each_kernels")

RANGES = [Range(-1.0, 1.0), Range(0.0, 0.5), Range(-1000.0, 1000.0)]


@given(VALUES, VALUES)
def test_parts_count_like_the_whole(first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    whole = summary_of([np.concatenate([first, second])], RANGES)
    parts = summary_of([first, second], RANGES)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.outside, whole.outside)
    assert (parts.low, parts.high) == (whole.low, whole.high)


@given(VALUES)
def test_every_value_is_counted_once_and_judged_by_every_range(values: NDArray[np.float32]) -> None:
    found = summary_of([values], RANGES)
    assert found.counts.sum() == values.size
    assert found.counts[HALF:].sum() == np.signbit(values).sum()
    assert (found.low, found.high) == (values.min(), values.max())
    for chosen, outside in zip(RANGES, found.outside, strict=True):
        assert outside == ((values < chosen.low) | (values > chosen.high)).sum()


@pytest.mark.parametrize("factor", [1.0, 2.0, 1024.0])
def test_eight_bins_make_an_octave(factor: float) -> None:
    octave = np.linspace(1, 2, 8000, endpoint=False, dtype=np.float32) * np.float32(factor)
    counts = summary_of([octave], []).counts
    np.testing.assert_array_equal(counts[counts > 0], 1000)
    assert summary_of([-octave], []).counts[HALF:].tolist() == counts[:HALF].tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(NumericsError, match="2 of 5 values are NaN or infinite"):
        summary_of([np.array([0, bad, 1, bad, 2], np.float32)], [])


def test_a_set_is_the_sum_of_its_images() -> None:
    rng = np.random.default_rng(0)
    images = [rng.normal(size=50).astype(np.float32) * (1 + i) for i in range(10)]
    splits = random_halves(10, 3, seed=0)
    found = summarised(["x"], ({"x": summary_of([image], RANGES)} for image in images), len(RANGES), splits)
    together = summary_of(images, RANGES)
    np.testing.assert_array_equal(found.counts[0], together.counts)
    np.testing.assert_array_equal(found.outside[0], together.outside)
    np.testing.assert_array_equal(found.highs[:, 0], [image.max() for image in images])
    np.testing.assert_array_equal(found.lows[:, 0], [image.min() for image in images])
    assert found.samples_outside[0, 0] == sum(bool((abs(image) > 1).any()) for image in images)
    for split, half in zip(splits, found.halves, strict=True):
        of_half = summary_of([image for image, taken in zip(images, split, strict=True) if taken], [])
        np.testing.assert_array_equal(half[0], of_half.counts)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_halves_are_halves_and_repeat(images: int, seed: int) -> None:
    halves = random_halves(images, 5, seed)
    assert (halves.sum(axis=1) == images // 2).all()
    np.testing.assert_array_equal(halves, random_halves(images, 5, seed))


def test_no_image_is_a_set_too() -> None:
    found = summarised(["x", "y"], [], 0, np.zeros((0, 0), np.bool_))
    assert found.samples == 0
    assert found.counts.shape == (2, BINS)
