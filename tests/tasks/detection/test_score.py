"""The COCO score equals the reference implementation's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import CATEGORIES, pycocotools_numbers, scene

from calibrant.core.metrics import Score
from calibrant.core.tasks import MODEL
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.score import DETAILS, evidence_of, score
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Detections

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def numbers(found: Score) -> list[float]:
    """All twelve, with -1 where undefined, as COCO gives them."""
    values = [found.value, *(_fraction(found.figure(name)) for name in DETAILS)]
    return [-1 if math.isnan(value) else value for value in values]


EXACTLY = 5.1e-7
"""Fractions: figures are points with four decimals, as files hold them."""


def _fraction(points: float | None) -> float:
    return math.nan if points is None else points / 100


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_twelve_numbers_equal_pycocotools(seed: int, images: int, ties: bool) -> None:
    samples, found = scene(seed, images, ties)
    expected = pycocotools_numbers(samples, found, CATEGORIES)
    np.testing.assert_allclose(numbers(score(samples, found, CATEGORIES)), expected, atol=EXACTLY)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_evidence_alone_is_the_scores(seed: int, images: int, ties: bool) -> None:
    samples, found = scene(seed, images, ties)
    alone, whole = evidence_of(samples, found, CATEGORIES), score(samples, found, CATEGORIES).evidence
    assert isinstance(whole, MatchTable)
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(alone.to_arrays()[name], array)


def test_twelve_numbers_equal_pycocotools_on_a_real_detector(shared: Path) -> None:
    dataset = open_dataset(shared / "data/coco/instances_val2017_300.json", limit=60)
    model = shared / "models/yolov5n_320.onnx"
    signature = signature_of(load_model(model))
    profile = recognise(signature).profile
    task = DetectionTask(profile, signature, categories=dataset.categories, class_map=range(80))
    with OnnxRuntime(1).open(model) as session:
        found = [
            task.interpret(task.drive({MODEL: session}, [sample])[0], sample) for sample in dataset.samples
        ]
    assert sum(sample.truth.crowd.sum() for sample in dataset.samples) > 0

    ours = task.score(dataset.samples, found)
    expected = pycocotools_numbers(dataset.samples, found, dataset.categories)
    np.testing.assert_allclose(numbers(ours), expected, atol=EXACTLY)
    ones = np.ones((1, len(found)), np.int64)
    np.testing.assert_allclose(ours.evidence.resample(ones), ours.value, atol=1e-6)
    assert ours.value == pytest.approx(0.2986, abs=0.003)


def test_a_perfect_detector_scores_one_and_a_blind_one_zero() -> None:
    samples, _ = scene(5, 6)
    perfect = [
        Detections(s.truth.boxes.astype(np.float32), np.ones(len(s.truth), np.float32), s.truth.classes)
        for s in samples
    ]
    assert score(samples, perfect, CATEGORIES).value > 0.999
    blind = score(samples, [NOTHING] * len(samples), CATEGORIES)
    assert blind.metric.name == "map50_95"
    assert blind.value == blind.figure("ar_100") == 0


def test_what_no_box_defines_is_nan() -> None:
    samples, _ = scene(2, 4)
    unlabelled = [sample for sample in samples if not len(sample.truth)]
    assert len(unlabelled) > 0
    nothing = score(unlabelled, [NOTHING] * len(unlabelled), CATEGORIES)
    assert math.isnan(nothing.value)
    assert all(figure.value is None for figure in nothing.figures)
