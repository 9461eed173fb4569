"""Resampling by weights is what COCO gives when images are repeated."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import CATEGORIES, pycocotools_numbers, scene

from calibrant.core.types import IntArray
from calibrant.tasks.detection.evidence import MatchTable, match
from calibrant.tasks.detection.score import score

pytestmark = pytest.mark.usefixtures("each_kernels")

seeds = st.integers(0, 2**32 - 1)


def table(seed: int, images: int) -> MatchTable:
    samples, found = scene(seed, images)
    return match([sample.truth for sample in samples], found, len(CATEGORIES))


def bootstrap(seed: int, rows: int, images: int) -> IntArray:
    drawn = np.random.default_rng(seed).integers(0, images, (rows, images))
    return np.stack([np.bincount(row, minlength=images) for row in drawn])


@settings(max_examples=30)
@given(seeds, st.integers(1, 12), st.booleans())
def test_weights_of_one_give_cocos_number(seed: int, images: int, ties: bool) -> None:
    samples, found = scene(seed, images, ties)
    scored = score(samples, found, CATEGORIES)
    resampled = scored.evidence.resample(np.ones((1, images), np.int64))[0]
    np.testing.assert_allclose(resampled, scored.value, atol=1e-12, equal_nan=True)


@settings(max_examples=30)
@given(seeds, st.integers(1, 8), st.data())
def test_weights_count_images_as_often(seed: int, images: int, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=images, max_size=images))
    samples, found = scene(seed, images)
    repeated = [index for index, weight in enumerate(weights) for _ in range(weight)]
    if not repeated:
        return
    expected = pycocotools_numbers([samples[i] for i in repeated], [found[i] for i in repeated], CATEGORIES)[
        0
    ]
    evidence = match([sample.truth for sample in samples], found, len(CATEGORIES))
    resampled = evidence.resample(np.array([weights]))[0]
    assert math.isnan(resampled) if expected == -1 else abs(resampled - expected) < 1e-9


@given(seeds)
def test_each_row_of_weights_is_its_own_resample(seed: int) -> None:
    evidence, weights = table(seed, 6), bootstrap(seed, 5, 6)
    together = evidence.resample(weights)
    apart = [evidence.resample(row[None])[0] for row in weights]
    np.testing.assert_array_equal(together, apart)


@given(seeds, st.integers(2, 5))
def test_doubling_every_image_changes_nothing(seed: int, factor: int) -> None:
    evidence, weights = table(seed, 6), bootstrap(seed, 4, 6)
    np.testing.assert_allclose(
        evidence.resample(factor * weights), evidence.resample(weights), rtol=1e-12, equal_nan=True
    )


def test_nothing_left_is_nan() -> None:
    assert np.isnan(table(1, 4).resample(np.zeros((2, 4), np.int64))).all()


def test_weights_of_another_shape_are_refused() -> None:
    for weights in (np.ones(4, np.int64), np.ones((1, 5), np.int64)):
        with pytest.raises(ValueError, match=r"shape \(R, 4\)"):
            table(1, 4).resample(weights)


def test_only_the_hundred_best_of_a_class_count() -> None:
    samples, found = scene(9, 1)
    many = found[0]
    repeat = np.resize(np.arange(len(many)), 250)
    crowded = type(many)(
        many.boxes[repeat], np.linspace(1, 0.1, 250, dtype=np.float32), np.zeros(250, np.int64)
    )
    evidence = match([samples[0].truth], [crowded], len(CATEGORIES))
    assert len(evidence.scores) == 100
    assert evidence.scores.min() == crowded.scores[99]


def test_arrays_keep_all_and_load_again(tmp_path: Path) -> None:
    evidence = table(4, 8)
    path = tmp_path / "evidence.npz"
    np.savez_compressed(path, allow_pickle=False, **evidence.to_arrays())
    with np.load(path, allow_pickle=False) as arrays:
        loaded = MatchTable.from_arrays(arrays)
    weights = bootstrap(4, 10, 8)
    assert loaded.images == 8
    np.testing.assert_array_equal(loaded.resample(weights), evidence.resample(weights))
    with pytest.raises(KeyError, match="matched"):
        MatchTable.from_arrays({k: v for k, v in evidence.to_arrays().items() if k != "matched"})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("image", lambda image: image + 10_000),
        ("image", lambda image: image - 1),
        ("truth_class", lambda index: index + 99),
        ("starts", lambda starts: starts[::-1]),
        ("starts", lambda starts: starts + 1),
        ("scores", lambda scores: scores[:-1]),
        ("matched", lambda matched: matched.astype(np.float64)),
        ("truth_image", lambda index: index[None]),
        ("images", lambda _: np.array(-1)),
    ],
)
def test_arrays_of_no_table_are_refused(name: str, change: Callable[[Any], Any]) -> None:
    right = table(3, 5).to_arrays()
    assert MatchTable.from_arrays(right).images == 5
    with pytest.raises(ValueError, match=r"."):
        MatchTable.from_arrays({**right, name: change(right[name])})
