"""The compiled loops over boxes give what numba's give, to the bit, and refuse what points outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scenes import scene

from calibrant.tasks.detection import evidence
from calibrant.tasks.detection.evidence import IOU_THRESHOLDS, RECALL_THRESHOLDS

compiled = pytest.importorskip("calibrant.tasks.detection._kernels")
precision = pytest.importorskip("calibrant.tasks.detection._precision_kernels")
numba = pytest.importorskip("calibrant.tasks.detection.numba_kernels")

SEEDS = st.integers(0, 2**32 - 1)


@given(arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32)), st.integers(0, 50))
def test_the_floor_of_the_best_is_numbas(scores: NDArray[np.float32], most: int) -> None:
    assert compiled.bits_below_best(scores, most) == numba.bits_below_best(scores, most)


@given(
    SEEDS, st.integers(0, 80), st.integers(1, 4), st.floats(0, 1, width=32), st.integers(0, 80),
    st.lists(st.floats(width=32), max_size=8),
)  # fmt: skip
def test_what_suppression_keeps_is_numbas(
    seed: int, count: int, classes: int, iou: float, most: int, strange: list[float]
) -> None:
    """Boxes may be inside out, infinite or no numbers."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(-2, 12, (count, 2))], axis=1).astype(np.float32)
    boxes.reshape(-1)[: len(strange)] = strange[: boxes.size]
    given_ = (boxes, rng.integers(0, classes, count), classes, np.float32(iou), most)
    ours, theirs = compiled.greedily_kept(*given_), numba.greedily_kept(*given_)
    assert ours.dtype == theirs.dtype == np.int64
    assert ours.tolist() == theirs.tolist()


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 6), st.booleans())
def test_matches_and_precision_are_numbas(seed: int, images: int, ties: bool) -> None:
    samples, detections = scene(seed, images, ties)
    found = evidence._FlatBoxes.of_detections(detections).best_of_each(3, 100)
    labelled = evidence._FlatBoxes.of_truths([sample.truth for sample in samples]).ordered(3)
    boxes = (
        found.xywh, found.keys(3), labelled.xywh, labelled.keys(3), labelled.crowd, IOU_THRESHOLDS,
    )  # fmt: skip
    for ours, theirs in zip(compiled.matches(*boxes), numba.matches(*boxes), strict=True):
        assert ours.dtype == theirs.dtype == np.uint16
        assert ours.tolist() == theirs.tolist()

    table = evidence.match([sample.truth for sample in samples], detections, 3)
    weights = np.random.default_rng(seed).poisson(1, (7, images))
    given_ = (
        weights, table.starts, table.image, table.matched, table.ignored, table.truth_image,
        table.truth_class, len(IOU_THRESHOLDS), RECALL_THRESHOLDS,
    )  # fmt: skip
    expected = numba.weighted_mean_precision(*given_)
    np.testing.assert_array_equal(precision.weighted_mean_precision(*given_), expected, strict=True)


@settings(max_examples=60)
@given(
    SEEDS, st.integers(1, 40), st.integers(1, 4), st.integers(0, 60), st.integers(0, 40),
    st.sampled_from([1, 3, 100, 10**6]),
)  # fmt: skip
def test_precision_of_any_table_is_numbas(
    seed: int, rows: int, classes: int, found: int, labelled: int, heaviest: int
) -> None:
    """Also where more is found than is labelled, and where some weigh more than tables are kept for."""
    rng, images, steps = np.random.default_rng(seed), 5, 4
    given_ = (
        rng.integers(0, heaviest, (rows, images), endpoint=True) * rng.integers(0, 2, (rows, images)),
        np.sort(np.concatenate([[0, found], rng.integers(0, found, classes - 1, endpoint=True)])),
        rng.integers(0, images, found).astype(np.int32),
        (rng.integers(0, 1 << steps, found) * rng.integers(0, 2, found)).astype(np.uint16),
        (rng.integers(0, 1 << steps, found) * (rng.random(found) < 0.1)).astype(np.uint16),
        rng.integers(0, images, labelled).astype(np.int32),
        rng.integers(0, classes, labelled).astype(np.int32), steps, np.linspace(0, 1, 11),
    )  # fmt: skip
    expected = numba.weighted_mean_precision(*given_)
    np.testing.assert_array_equal(precision.weighted_mean_precision(*given_), expected, strict=True)


BOXES = {"boxes": np.zeros((2, 4), np.float32), "classes": np.zeros(2, np.int64), "class_count": 1}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"boxes": np.zeros((2, 5), np.float32)}, ValueError, "4 columns"),
        ({"boxes": np.zeros(8, np.float32)}, TypeError, "dimensions: 2"),
        ({"classes": np.zeros(3, np.int64)}, ValueError, "one length"),
        ({"classes": np.array([0, 1])}, ValueError, "classes must lie in"),
        ({"classes": np.array([-1, 0])}, ValueError, "classes must lie in"),
        ({"class_count": -1}, ValueError, "class_count"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    assert compiled.greedily_kept(*BOXES.values(), np.float32(0.5), 9).tolist() == [0, 1]
    with pytest.raises(error, match=words):
        compiled.greedily_kept(*{**BOXES, **change}.values(), np.float32(0.5), 9)
    with pytest.raises(ValueError, match="most"):
        compiled.greedily_kept(*BOXES.values(), np.float32(0.5), -1)


FOUND = {
    "found": np.zeros((2, 4)), "found_keys": np.zeros(2, np.int64), "labelled": np.zeros((1, 4)),
    "labelled_keys": np.zeros(1, np.int64), "crowd": np.zeros(1, np.bool_), "thresholds": np.ones(10),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given_", "words"),
    [
        ("found", np.zeros((2, 3)), "4 columns"),
        ("found_keys", np.zeros(1, np.int64), "one length"),
        ("labelled_keys", np.zeros(2, np.int64), "one length"),
        ("crowd", np.zeros(2, np.bool_), "one length"),
        ("thresholds", np.ones(17), "16 thresholds"),
    ],
)
def test_matches_that_do_not_fit_are_refused(name: str, given_: NDArray[Any], words: str) -> None:
    assert compiled.matches(*FOUND.values())[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match=words):
        compiled.matches(*{**FOUND, name: given_}.values())


TABLE = {
    "weights": np.ones((3, 2), np.int64), "starts": np.array([0, 2]), "image": np.zeros(2, np.int32),
    "matched": np.ones(2, np.uint16), "ignored": np.zeros(2, np.uint16), "truth_image": np.ones(2, np.int32),
    "truth_class": np.zeros(2, np.int32), "steps": 1, "recalls": np.linspace(0, 1, 11),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given_", "words"),
    [
        ("starts", np.array([0, 3]), "starts"),
        ("starts", np.array([-1, 2]), "starts"),
        ("starts", np.array([2, 0]), "starts"),
        ("starts", np.zeros(0, np.int64), "starts"),
        ("image", np.array([0, 2], np.int32), "columns of weights"),
        ("image", np.array([0, -1], np.int32), "columns of weights"),
        ("truth_image", np.array([0, 2], np.int32), "columns of weights"),
        ("truth_class", np.array([0, 1], np.int32), "number of classes"),
        ("truth_class", np.zeros(1, np.int32), "one length"),
        ("matched", np.ones(1, np.uint16), "one length"),
        ("ignored", np.ones(3, np.uint16), "one length"),
        ("weights", np.array([[1, 0], [1, -1]]), "weights must not be negative"),
        ("steps", 17, "16 steps"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(name: str, given_: Any, words: str) -> None:
    assert precision.weighted_mean_precision(*TABLE.values()).tolist() == [1.0] * 3
    with pytest.raises(ValueError, match=words):
        precision.weighted_mean_precision(*{**TABLE, name: given_}.values())
