"""Text detection bound to a model: drives it on images, reads its map, counts what is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, Task, Words, sole
from calibrant.core.types import Feeds, Session
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.media.contents import content_digest
from calibrant.tasks.media.images import image_size, read_image
from calibrant.tasks.media.inputs import ImageTensor
from calibrant.tasks.media.pages import PageSample
from calibrant.tasks.media.samples import CalibrationSample, array_that_fits
from calibrant.tasks.text_detection.comparing import agreement, differences_between, height_of
from calibrant.tasks.text_detection.differences import TextDetectionDifferences
from calibrant.tasks.text_detection.evidence import FoundRegions
from calibrant.tasks.text_detection.outlines import outlines_in
from calibrant.tasks.text_detection.profile import Reading, prepared
from calibrant.tasks.text_detection.score import HMEAN, evidence_of, score
from calibrant.tasks.text_detection.types import Outlines

NAME = "text_detection"
WORDS = Words("image", "images", "region", "regions")

_SLACK = 1e-3  # of a probability, for runtimes that compute it coarsely
_MANY = 100
"""Outlines; what :attr:`TextDetectionTask.prediction_bytes` counts with."""


@dataclass(frozen=True)
class TextFinder:
    """How a detector is fed and read."""

    image: ImageTensor
    reading: Reading

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """The input's height and width for an image of this size."""
        free = self.reading.sides(height, width)
        return self.image.height or free[0], self.image.width or free[1]


class TextDetectionTask(Task):
    """Implements core.tasks.Task for models that give every pixel a probability of being text."""

    name = NAME
    words = WORDS

    def __init__(self, finder: TextFinder) -> None:
        self._finder = finder

    @property
    def metric(self) -> Metric:
        """Hmean at an overlap of a half."""
        return HMEAN

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[PageSample | CalibrationSample]
    ) -> Sequence[Feeds]:
        """The outputs of the model for each image. Raises ImageError or DataError."""
        return [sole(sessions).run(self._finder.image.feed(self._tensor(sample))) for sample in samples]

    def interpret(self, raw: Feeds, sample: PageSample | CalibrationSample) -> Outlines:
        """The outlines of text in one image. Raises ModelError for other outputs."""
        scores = _map_in(raw)
        size = (
            image_size(sample.path)[::-1] if sample.path is not None else (scores.shape[0], scores.shape[1])
        )
        return outlines_in(scores, self._finder.reading, size)

    def check(self, raw: Feeds, sample: PageSample | CalibrationSample) -> None:
        """Raise ModelError where the output is no map of probabilities of the input's size."""
        scores = _map_in(raw)
        if not (scores.min() >= -_SLACK and scores.max() <= 1 + _SLACK):
            raise ModelError(
                f"the output reaches from {scores.min():.3g} to {scores.max():.3g}; a text detector gives "
                "probabilities (its last operator is a Sigmoid); name the model's task, e.g. --task outputs"
            )
        sides = self._tensor(sample).shape[2:]
        if scores.shape != sides:
            raise ModelError(
                f"the output is {scores.shape[1]} x {scores.shape[0]} for an input of {sides[1]} x "
                f"{sides[0]} pixels; a text detector gives one probability a pixel"
            )

    def score(self, samples: Sequence[PageSample], predictions: Sequence[Outlines]) -> Score:
        """Hmean, precision and recall."""
        return score(samples, predictions)

    def evidence(self, samples: Sequence[PageSample], predictions: Sequence[Outlines]) -> FoundRegions:
        """The evidence of that score alone."""
        return evidence_of(samples, predictions)

    def agreement(self, reference: Sequence[Outlines], found: Sequence[Outlines]) -> float:
        """How far two models find the same outlines with the same scores."""
        return agreement(reference, found)

    def pack(self, predictions: Sequence[Outlines]) -> Mapping[str, NDArray[Any]]:
        """All images' outlines one after the other, with how many each image has."""
        return {
            "counts": np.array([len(found) for found in predictions], np.int64),
            "corners": np.concatenate(
                [np.zeros((0, 4, 2), np.float32), *(one.corners for one in predictions)]
            ),
            "scores": np.concatenate([np.zeros(0, np.float64), *(one.scores for one in predictions)]),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Outlines]:
        """The outlines that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        counts, corners, scores = (arrays[name] for name in ("counts", "corners", "scores"))
        if corners.shape[1:] != (4, 2) or not len(corners) == len(scores) == counts.sum():
            raise ValueError("counts and outlines do not fit")
        ends = np.cumsum(counts)
        return [
            Outlines(corners[end - n : end], scores[end - n : end])
            for end, n in zip(ends, counts, strict=True)
        ]

    def digest(self, sample: PageSample | CalibrationSample) -> bytes:
        """A hash of a sample's content."""
        return content_digest(sample)

    def memory(self, sample: PageSample | CalibrationSample) -> int:
        """Of the prepared image in double precision, its float32 and the map."""
        if sample.path is None:
            return 0
        height, width = self._finder.sides(*image_size(sample.path)[::-1])
        return height * width * (3 * 8 + 3 * 4 + 4)

    @property
    def prediction_bytes(self) -> int:
        """Of an image with many lines."""
        return _MANY * 40

    def differences(
        self, calibrator: str, samples: Sequence[PageSample], reference: Evaluated, found: Evaluated
    ) -> TextDetectionDifferences:
        """What is lost, moved and new, by image and by height."""
        return differences_between(calibrator, samples, reference, found)

    def describe(
        self, sample: PageSample | CalibrationSample, prediction: Outlines | None = None
    ) -> Look | None:
        """Heights of regions and the brightness of an image. Raises ImageError."""
        features: dict[tuple[str, str], int] = {}
        for height in _heights(sample, prediction):
            features["height", height] = features.get(("height", height), 0) + 1
        if sample.path is None:
            return Look(features)
        looks = appearance_of(sample.path)
        return Look({**features, ("brightness", looks.band): 1}, looks.hash)

    def picture(self, raw: Feeds, sample: PageSample | CalibrationSample) -> tuple[str, bytes] | None:
        """The image with the outlines that the model finds. Raises ImageError."""
        if sample.path is None:
            return None
        found, image = self.interpret(raw, sample), read_image(sample.path)
        cv2.polylines(image, [corners.astype(np.int32) for corners in found.corners], True, (36, 28, 237), 2)
        _, content = cv2.imencode(".png", image)
        return f"{len(found)} outlines of text", content.tobytes()

    def _tensor(self, sample: PageSample | CalibrationSample) -> NDArray[np.float32]:
        array = array_that_fits(sample, self._finder.image)
        if array is not None:
            return array
        assert sample.path is not None
        image = read_image(sample.path)
        return prepared(image, self._finder.reading, self._finder.sides(*image.shape[:2]))


def _heights(sample: PageSample | CalibrationSample, prediction: Outlines | None) -> list[str]:
    if isinstance(sample, PageSample):
        return [height_of(region.outline) for region in sample.regions if not region.is_ignored]
    return [height_of(corners) for corners in prediction.corners] if prediction is not None else []


def _map_in(raw: Feeds) -> NDArray[Any]:
    """Probabilities (H, W), from an output (1, 1, H, W)."""
    scores = next(iter(raw.values()))
    if len(raw) != 1 or scores.ndim != 4 or scores.shape[:2] != (1, 1):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in raw.items())
        raise ModelError(f"the model gives {shapes}; a text detector gives one map (1, 1, height, width)")
    found: NDArray[Any] = scores[0, 0]
    return found
