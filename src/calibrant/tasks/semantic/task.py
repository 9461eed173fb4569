"""Semantic segmentation bound to a model: drives it on images, reads its map, counts its pixels."""

from __future__ import annotations

from collections import Counter
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
from calibrant.tasks.media.images import image_size, read_image, read_numbers
from calibrant.tasks.media.inputs import ImageTensor
from calibrant.tasks.media.samples import CalibrationSample, array_that_fits
from calibrant.tasks.semantic.comparing import agreement, differences_between
from calibrant.tasks.semantic.differences import SemanticDifferences
from calibrant.tasks.semantic.evidence import PixelCounts
from calibrant.tasks.semantic.profile import Preparation, of_classes, of_scores, prepared
from calibrant.tasks.semantic.score import MIOU, evidence_of, score
from calibrant.tasks.semantic.types import ClassMap, MaskValues, SegmentedImage

NAME = "semantic"
WORDS = Words("image", "images", "mask", "masks")

_SEEN = 0.01
"""Of an image's pixels: a class that has fewer is not said to be in it."""
_TOLD = 3
_LARGE = 4_000_000
"""Bytes of a map of two megapixels; what :attr:`SemanticTask.prediction_bytes` counts with."""


@dataclass(frozen=True)
class Segmenter:
    """How a segmenter is fed and read.

    axis: where the classes' scores lie in the output (1: N, C, H, W; 3: N, H, W, C); None: it gives the
    numbers of classes. names: of the model's classes, as many as it has.
    """

    image: ImageTensor
    output: str
    axis: int | None
    preparation: Preparation
    values: MaskValues
    names: tuple[str, ...]

    @property
    def sides(self) -> tuple[int, int]:
        """The input's height and width."""
        return int(self.image.height or 0), int(self.image.width or 0)


class SemanticTask(Task):
    """Implements core.tasks.Task for models that give each pixel a class."""

    name = NAME
    words = WORDS

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    @property
    def metric(self) -> Metric:
        """The mean intersection over union."""
        return MIOU

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[SegmentedImage | CalibrationSample]
    ) -> Sequence[Feeds]:
        """The outputs of the model for each image. Raises ImageError or DataError."""
        return [sole(sessions).run(self._segmenter.image.feed(self._tensor(sample))) for sample in samples]

    def interpret(self, raw: Feeds, sample: SegmentedImage | CalibrationSample) -> ClassMap:
        """The class of each pixel of the original image. Raises ModelError for other outputs."""
        told = self._segmenter
        size = image_size(sample.path)[::-1] if sample.path is not None else told.sides
        found = self._output(raw)
        if told.axis is None:
            return ClassMap(of_classes(found, told.preparation, told.sides, size))
        scores = np.asarray(np.moveaxis(found, told.axis - 1, 0), np.float32)
        return ClassMap(of_scores(scores, told.preparation, told.sides, size))

    def check(self, raw: Feeds, sample: SegmentedImage | CalibrationSample) -> None:
        """Raise ModelError where the output is no map of the input's shape."""
        del sample
        told, found = self._segmenter, self._output(raw)
        height, width = found.shape if told.axis is None else np.moveaxis(found, told.axis - 1, 0).shape[1:]
        if abs(height * told.sides[1] - width * told.sides[0]) > max(height, width) * max(told.sides) * 0.05:
            raise ModelError(
                f"the output is {width} x {height} for an input of {told.sides[1]} x {told.sides[0]} pixels; "
                "a segmenter gives a map of the input's shape"
            )

    def score(self, samples: Sequence[SegmentedImage], predictions: Sequence[ClassMap]) -> Score:
        """The mean IoU, pixel accuracy, and what is told beside them."""
        return score(samples, predictions, self._segmenter.values, len(self._segmenter.names))

    def evidence(self, samples: Sequence[SegmentedImage], predictions: Sequence[ClassMap]) -> PixelCounts:
        """The evidence of that score alone."""
        return evidence_of(samples, predictions, self._segmenter.values, len(self._segmenter.names))

    def agreement(self, reference: Sequence[ClassMap], found: Sequence[ClassMap]) -> float:
        """The mean IoU of one model's maps with the other's."""
        return agreement(reference, found, len(self._segmenter.names))

    def pack(self, predictions: Sequence[ClassMap]) -> Mapping[str, NDArray[Any]]:
        """All images' maps one after the other, with the size of each."""
        return {
            "sizes": np.array([found.classes.shape for found in predictions], np.int64).reshape(-1, 2),
            "classes": np.concatenate(
                [np.zeros(0, np.uint16), *(found.classes.reshape(-1) for found in predictions)]
            ),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[ClassMap]:
        """The maps that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        sizes, classes = arrays["sizes"], arrays["classes"]
        if sizes.ndim != 2 or sizes.shape[1] != 2 or sizes.dtype.kind != "i" or classes.dtype != np.uint16:
            raise ValueError("an array has another shape or type")
        if (sizes < 0).any() or classes.shape != (int(sizes.prod(axis=1).sum()),):
            raise ValueError("sizes and maps do not fit")
        ends = np.cumsum(sizes.prod(axis=1))
        return [
            ClassMap(classes[end - height * width : end].reshape(height, width))
            for end, (height, width) in zip(ends, sizes, strict=True)
        ]

    def digest(self, sample: SegmentedImage | CalibrationSample) -> bytes:
        """A hash of a sample's content."""
        return content_digest(sample)

    def memory(self, sample: SegmentedImage | CalibrationSample) -> int:
        """Of the prepared image, and of scores and classes at the image's size."""
        width, height = getattr(sample, "width", None), getattr(sample, "height", None)
        pixels = int(width) * int(height) if width and height else 0
        return 24 * self._segmenter.sides[0] * self._segmenter.sides[1] + 14 * pixels

    @property
    def prediction_bytes(self) -> int:
        """Of a large image."""
        return _LARGE

    def differences(
        self, calibrator: str, samples: Sequence[SegmentedImage], reference: Evaluated, found: Evaluated
    ) -> SemanticDifferences:
        """Which pixels, of which classes, change."""
        told = self._segmenter
        return differences_between(calibrator, samples, reference, found, told.values, told.names)

    def describe(
        self, sample: SegmentedImage | CalibrationSample, prediction: ClassMap | None = None
    ) -> Look | None:
        """The classes in an image and its brightness. Raises ImageError."""
        classes = None
        if isinstance(sample, SegmentedImage):
            classes = self._segmenter.values.classes_of(read_numbers(sample.mask))
        elif prediction is not None:
            classes = prediction.classes
        shares = self._shares(classes) if classes is not None else {}
        features = {("class", name): 1 for name, share in shares.items() if share >= _SEEN}
        if sample.path is None:
            return Look(features)
        looks = appearance_of(sample.path)
        return Look({**features, ("brightness", looks.band): 1}, looks.hash)

    def picture(self, raw: Feeds, sample: SegmentedImage | CalibrationSample) -> tuple[str, bytes] | None:
        """The image with each class in a colour of its own. Raises ImageError."""
        if sample.path is None:
            return None
        found, image = self.interpret(raw, sample).classes, read_image(sample.path)
        count = len(self._segmenter.names)
        hues = np.stack(
            [np.arange(count) * 180 // max(count, 1), np.full(count, 200), np.full(count, 230)], axis=1
        )
        colours = cv2.cvtColor(hues.astype(np.uint8)[None], cv2.COLOR_HSV2BGR)[0]
        is_class = found < count
        image[is_class] = (image[is_class] // 2 + colours[found[is_class]] // 2).astype(np.uint8)
        shares = Counter(self._shares(found)).most_common(_TOLD)
        _, content = cv2.imencode(".png", image)
        told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
        return f"of its pixels {told}", content.tobytes()

    def _shares(self, classes: NDArray[np.uint16]) -> dict[str, float]:
        """The share of an image's pixels that each of its classes has."""
        names = self._segmenter.names
        counts = np.bincount(classes[classes < len(names)], minlength=len(names))
        return {names[index]: counts[index] / classes.size for index in np.flatnonzero(counts)}

    def _output(self, raw: Feeds) -> NDArray[Any]:
        """The map of one image: (C, H, W), (H, W, C) or (H, W). Raises ModelError for another."""
        told = self._segmenter
        found = raw.get(told.output)
        rank = 4 if told.axis is not None else (4 if found is not None and found.ndim == 4 else 3)
        if found is None or found.ndim != rank or found.shape[0] != 1 or 0 in found.shape:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in raw.items())
            raise ModelError(f"the model gives {shapes}; a segmenter gives one map for an image")
        one: NDArray[Any] = found[0]
        if told.axis is None:
            return (
                one.reshape(one.shape[-2:])
                if one.ndim == 3 and one.shape[0] == 1
                else one.reshape(one.shape[:2])
            )
        if one.shape[told.axis - 1] != len(told.names):
            raise ModelError(
                f"the model gives scores of {one.shape[told.axis - 1]} classes and it has {len(told.names)}; "
                "name the model's task, e.g. --task outputs"
            )
        return one

    def _tensor(self, sample: SegmentedImage | CalibrationSample) -> NDArray[np.float32]:
        array = array_that_fits(sample, self._segmenter.image)
        if array is not None:
            return array
        assert sample.path is not None
        return prepared(read_image(sample.path), self._segmenter.preparation, self._segmenter.sides)
