"""What the images show: classes, sizes and brightness; and which images show the same."""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calibrant.core.machine import usable_cores
from calibrant.core.progress import Progress
from calibrant.core.types import IntArray, Runtime
from calibrant.graph.model import Model
from calibrant.stages.coverage.duplicates import near_pairs, near_pairs_within
from calibrant.stages.evaluate import predictions_of
from calibrant.stages.parallel import in_order
from calibrant.studies.coverage.result import Feature, SimilarPair
from calibrant.studies.prepare import runnable_file
from calibrant.tasks.detection import Category, Detections, DetectionTask, GroundTruth
from calibrant.tasks.media.appearance import (
    BRIGHTNESS_BANDS,
    SAME_PICTURE_BITS,
    Appearance,
    appearance_of,
)

FOUND_SCORE = 0.3
"""The float model's detections count as seen from this score on."""
SIZES = ("small", "medium", "large")
_AREAS = (32.0**2, 96.0**2)  # square pixels, COCO's limits between the three

CLASS, SIZE, BRIGHTNESS = "class", "size", "brightness"
SAME_FILE, NEAR = "same file", "near-duplicate"


class HasPath(Protocol):
    """A sample that may have an image."""

    @property
    def id(self) -> str:
        """Unique in its set."""
        ...

    @property
    def path(self) -> Path | None:
        """The image's file."""
        ...


@dataclass(frozen=True, eq=False)
class ImageContent:
    """One image: how often each feature occurs in it, by (kind, name), and how it looks."""

    features: Mapping[tuple[str, str], int]
    appearance: Appearance


def looked_at(samples: Sequence[HasPath], progress: Progress, title: str) -> tuple[Appearance, ...]:
    """How each image looks. Raises ImageError."""

    def look(sample: HasPath) -> Appearance:
        assert sample.path is not None
        return appearance_of(sample.path)

    with progress.stage(title, len(samples)) as advance:
        found = []
        for appearance in in_order(look, samples, usable_cores()):
            found.append(appearance)
            advance()
    return tuple(found)


def detected(
    model: Model,
    task: DetectionTask,
    runtime: Runtime,
    samples: Sequence[Any],
    progress: Progress,
    title: str,
) -> tuple[Detections, ...]:
    """What the float model finds in each image. Raises RuntimeFailedError."""
    found = []
    with (
        runnable_file(model) as file,
        runtime.open(file) as session,
        progress.stage(title, len(samples)) as advance,
    ):
        for detections in predictions_of(session, task, samples):
            found.append(detections)
            advance()
    return tuple(found)


def contents_by_detection(
    found: Sequence[Detections], looks: Sequence[Appearance], categories: Sequence[Category]
) -> tuple[ImageContent, ...]:
    """Images described by what a model finds in them with a score of :data:`FOUND_SCORE` or more."""
    return tuple(
        _content(detections.classes[sure], _areas(detections)[sure], look, categories)
        for detections, look in zip(found, looks, strict=True)
        for sure in [detections.scores >= FOUND_SCORE]
    )


def contents_by_label(
    truths: Sequence[GroundTruth], looks: Sequence[Appearance], categories: Sequence[Category]
) -> tuple[ImageContent, ...]:
    """Images described by their labelled boxes, crowds left out."""
    return tuple(
        _content(truth.classes[~truth.crowd], truth.areas[~truth.crowd], look, categories)
        for truth, look in zip(truths, looks, strict=True)
    )


def features_of(
    calibration: Sequence[ImageContent], other: Sequence[ImageContent], categories: Sequence[Category]
) -> tuple[Feature, ...]:
    """Every feature that occurs in either set, with how often: sizes, brightness, then classes."""
    names = {
        SIZE: SIZES,
        BRIGHTNESS: BRIGHTNESS_BANDS,
        CLASS: tuple(category.name for category in categories),
    }
    (mine, my_images), (theirs, their_images) = _counted(calibration), _counted(other)
    return tuple(
        Feature(kind, name, mine[key], my_images[key], theirs[key], their_images[key])
        for kind, of_kind in names.items()
        for name in dict.fromkeys(of_kind)
        for key in [(kind, name)]
        if my_images[key] or their_images[key]
    )


def duplicates_in(samples: Sequence[HasPath], looks: Sequence[Appearance]) -> tuple[SimilarPair, ...]:
    """Pairs of calibration images that show the same, the nearest first."""
    if not samples:
        return ()
    pairs = near_pairs_within(_hashes(looks), SAME_PICTURE_BITS)
    return tuple(_similar(samples[i], samples[j], "calibration", bits) for i, j, bits in pairs)


def leaks_between(
    samples: Sequence[HasPath],
    looks: Sequence[Appearance],
    test: Sequence[HasPath],
    test_looks: Sequence[Appearance],
) -> tuple[SimilarPair, ...]:
    """Pairs of a calibration image and a test image that show the same, the nearest first."""
    if not samples or not test:
        return ()
    pairs = near_pairs(_hashes(looks), _hashes(test_looks), SAME_PICTURE_BITS)
    return tuple(_similar(samples[i], test[j], "test", bits) for i, j, bits in pairs)


def _content(
    classes: IntArray, areas: np.ndarray[Any, Any], look: Appearance, categories: Sequence[Category]
) -> ImageContent:
    sizes = np.searchsorted(_AREAS, areas, side="right")
    features = Counter((CLASS, categories[index].name) for index in classes)
    features.update((SIZE, SIZES[index]) for index in sizes)
    features[BRIGHTNESS, look.band] += 1
    return ImageContent(features, look)


def _areas(found: Detections) -> np.ndarray[Any, Any]:
    sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 0)
    areas: np.ndarray[Any, Any] = sides[:, 0] * sides[:, 1]
    return areas


def _counted(
    images: Sequence[ImageContent],
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """How often each feature occurs, and in how many images."""
    total: Counter[tuple[str, str]] = Counter()
    present: Counter[tuple[str, str]] = Counter()
    for image in images:
        total.update(image.features)
        present.update(image.features.keys())
    return total, present


def _hashes(looks: Sequence[Appearance]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([look.hash for look in looks])


def _similar(first: HasPath, second: HasPath, second_set: str, bits: int) -> SimilarPair:
    assert first.path is not None
    assert second.path is not None
    same = bits == 0 and filecmp.cmp(first.path, second.path, shallow=False)
    return SimilarPair(SAME_FILE if same else NEAR, first.id, second.id, second_set, bits)
