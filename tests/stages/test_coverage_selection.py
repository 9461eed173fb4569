"""Greedy set cover: all is covered, nothing is taken for nothing, and not much more than needed."""

from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from calibrant.stages.coverage.duplicates import near_pairs, near_pairs_within
from calibrant.stages.coverage.selection import greedy_cover, reaches

COVERS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=7))
HASHES = arrays(np.uint8, st.tuples(st.integers(0, 6), st.just(2)))


@given(COVERS)
def test_everything_is_covered_and_every_image_adds_something(covers: NDArray[np.bool_]) -> None:
    chosen = greedy_cover(covers)
    added = [thing for _, things in chosen for thing in things]
    assert sorted(added) == np.flatnonzero(covers.any(axis=0)).tolist()
    assert all(len(things) for _, things in chosen)
    assert all(covers[index, things].all() for index, things in chosen)


@given(COVERS)
def test_no_more_than_the_bound_times_the_smallest(covers: NDArray[np.bool_]) -> None:
    wanted = covers.any(axis=0)
    smallest = next(
        size
        for size in range(len(covers) + 1)
        for some in combinations(range(len(covers)), size)
        if (covers[list(some)].any(axis=0) == wanted).all()
    )
    assert len(greedy_cover(covers)) <= (log(max(wanted.sum(), 1)) + 1) * smallest


def test_of_equals_the_first_is_taken() -> None:
    covers = np.array([[0, 1], [1, 1], [1, 1]], np.bool_)
    assert [index for index, _ in greedy_cover(covers)] == [1]


def test_an_end_is_reached_by_those_near_it_and_outliers_are_not_wanted() -> None:
    values = np.array([*np.linspace(0.5, 1, 99), 50.0], np.float32).reshape(-1, 1)
    reached = reaches(values, quantile=0.95, slack=0.95)[:, 0]
    assert reached[-1]
    assert 5 <= reached[:-1].sum() <= 20


def test_a_tensor_that_is_never_positive_has_no_upper_end() -> None:
    assert not reaches(np.array([[0.0], [-1.0]], np.float32), 0.95, 0.95).any()


@given(HASHES, HASHES, st.integers(0, 16))
def test_pairs_are_those_within_the_limit(
    first: NDArray[np.uint8], second: NDArray[np.uint8], most: int
) -> None:
    found = near_pairs(first, second, most)
    bits = np.unpackbits(first, axis=1)[:, None] != np.unpackbits(second, axis=1)[None]
    distances = bits.sum(axis=2)
    assert sorted((i, j) for i, j, _ in found) == [tuple(pair) for pair in np.argwhere(distances <= most)]
    assert [bits for _, _, bits in found] == sorted(int(distances[i, j]) for i, j, _ in found)


def test_inside_a_set_each_pair_comes_once() -> None:
    hashes = np.array([[1, 1], [0, 0], [1, 1]], np.uint8)
    assert near_pairs_within(hashes, 1) == [(0, 2, 0)]
