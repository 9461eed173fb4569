"""How many are enough: spreads and changes of known ranges, and from which size on they are small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.types import Range
from calibrant.studies.coverage.growth import (
    Grown,
    Subset,
    enough,
    extreme_orders,
    in_order_of,
    learning_points,
    order_spreads,
    sizes_for,
    spreads,
)

SIZES = (2, 4, 8, 16, 32)
SEEDS = (None, 0, 1)


def grown(thresholds: dict[tuple[int | None, int], tuple[float, ...]]) -> Grown:
    """One calibrator's thresholds of the tensors a, b, ... by seed and size; 1 where none are given."""
    ranges = {
        Subset("c", size, seed): {
            name: Range(-threshold, threshold)
            for name, threshold in zip("abc", thresholds.get((seed, size), (1.0, 1.0, 1.0)), strict=False)
        }
        for seed in SEEDS
        for size in SIZES
    }
    return Grown(("c",), SEEDS, SIZES, ranges, dict.fromkeys(SEEDS, "first.jpg"))


@given(st.integers(1, 5000))
def test_sizes_double_and_end_with_all_images(images: int) -> None:
    sizes = sizes_for(images)
    assert sizes[-1] == images
    assert list(sizes) == sorted(set(sizes))
    assert all(size & (size - 1) == 0 for size in sizes[:-1])
    assert images <= 2 or images <= 2 * sizes[-2]


def test_an_order_repeats_and_none_is_the_order_as_given() -> None:
    images = tuple(f"{i}" for i in range(30))
    assert in_order_of(images, None) == images  # type: ignore[arg-type, comparison-overlap]
    shuffled = in_order_of(images, 3)  # type: ignore[arg-type]
    assert shuffled == in_order_of(images, 3)  # type: ignore[arg-type]
    assert sorted(map(str, shuffled)) == sorted(images)
    assert shuffled != in_order_of(images, 4)  # type: ignore[arg-type]


def test_a_point_tells_how_far_it_is_from_all_images_of_its_order() -> None:
    found = grown({(0, 2): (1.0, 3.0, 4.0), (0, 32): (2.0, 2.0, 2.0)})
    points = {
        (point.seed, point.samples): point for point in learning_points(found, {Subset("c", 2, 0): 12.5})
    }
    assert points[0, 2].median_change == pytest.approx(0.5)
    assert points[0, 2].p95_change == pytest.approx(np.quantile([0.5, 0.5, 1.0], 0.95))
    assert points[0, 2].value == 12.5
    assert points[None, 2].median_change == 0
    assert points[None, 2].value is None


def test_a_spread_names_the_tensor_that_scatters_most() -> None:
    found = grown({(None, 4): (1.0, 1.0, 1.0), (0, 4): (1.0, 1.0, 2.0), (1, 4): (1.0, 1.0, 3.0)})
    maps = {Subset("c", 4, 0): 30.0, Subset("c", 4, 1): 28.0}
    spread = next(spread for spread in spreads(found, maps) if spread.samples == 4)
    assert (spread.median, spread.largest_tensor) == (0, "c")
    assert spread.largest == pytest.approx(0.5)  # standard deviation 1 of the mean 2
    assert (spread.map_low, spread.map_high, spread.map_count) == (28.0, 30.0, 2)


@pytest.mark.parametrize(("last_rough", "expected"), [(2, 4), (8, 16), (16, None), (32, 2)])
def test_enough_is_where_subsets_agree_from_there_on(last_rough: int, expected: int | None) -> None:
    """Sizes above half of the set are not asked."""
    found = grown({(0, last_rough): (2.0, 2.0, 2.0)})
    assert enough(found, spreads(found, {}), {}, 0.5)[0].by_threshold == expected


def test_enough_by_map_needs_measurements_that_stay_near() -> None:
    found = grown({})
    whole = {Subset("c", 32, None): 30.0}
    near = {Subset("c", size, 0): 30.4 for size in SIZES[:-1]}
    verdict = [enough(found, spreads(found, maps), maps, 0.5)[0].by_map
               for maps in ({}, whole, {**whole, **near}, {**whole, **near, Subset("c", 4, 1): 29.0},
                            {**near, **whole, Subset("c", 16, 1): 29.0})]  # fmt: skip
    assert verdict == [None, None, 2, 8, None]


def test_of_few_images_nothing_is_enough() -> None:
    ranges = {Subset("c", size, seed): {"a": Range(-1, 1)} for size in (2, 4) for seed in SEEDS}
    few = Grown(("c",), SEEDS, (2, 4), ranges, dict.fromkeys(SEEDS, "first.jpg"))
    assert enough(few, spreads(few, {}), {}, 0.5)[0].by_threshold is None


def test_orders_are_compared_over_all_images() -> None:
    found = grown({(None, 32): (1.0, 2.0, 0.0), (0, 32): (1.0, 1.0, 0.0), (1, 32): (1.0, 3.0, 0.0)})
    (order,) = order_spreads(found)
    assert (order.orders, order.largest_tensor) == (3, "b")
    assert order.largest == pytest.approx(1.0)
    assert order.median == 0
    assert extreme_orders(found, "c") == (0, 1)
