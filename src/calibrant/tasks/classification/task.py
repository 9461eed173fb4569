"""Image classification bound to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, Task, Words, sole
from calibrant.core.types import Feeds, Session
from calibrant.tasks.classification.comparing import differences_between, overlap
from calibrant.tasks.classification.differences import ClassificationDifferences
from calibrant.tasks.classification.evidence import Hits
from calibrant.tasks.classification.preprocess import prepared
from calibrant.tasks.classification.profile import Preparation
from calibrant.tasks.classification.score import TOP1, hits_of, score
from calibrant.tasks.classification.types import ClassScores, LabelledImage
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.media.contents import content_digest
from calibrant.tasks.media.images import read_image
from calibrant.tasks.media.inputs import ImageTensor
from calibrant.tasks.media.samples import CalibrationSample, array_that_fits

NAME = "classification"
WORDS = Words("image", "images", "labelled image", "labelled images")

_SUM_SLACK = 1e-3


@dataclass(frozen=True)
class Classifier:
    """How a classifier is fed and read. class_map gives a label its class; names: of the model's classes."""

    image: ImageTensor
    preparation: Preparation
    classes: int
    class_map: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


class ClassificationTask(Task):
    """Implements core.tasks.Task for models that give every class a score."""

    name = NAME
    words = WORDS

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def metric(self) -> Metric:
        """Top-1 accuracy."""
        return TOP1

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[LabelledImage | CalibrationSample]
    ) -> Sequence[Feeds]:
        """The outputs of the model for each image. Raises ImageError or DataError."""
        return [sole(sessions).run(self._feeds(sample)) for sample in samples]

    def interpret(self, raw: Feeds, sample: LabelledImage | CalibrationSample) -> ClassScores:
        """A probability for each class. Raises ModelError for other outputs."""
        del sample
        scores = next(iter(raw.values()))
        if len(raw) != 1 or scores.size != self._classifier.classes:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in raw.items())
            raise ModelError(f"the model gives {shapes}; a classifier gives one score for each class")
        return ClassScores(probabilities_of(scores.reshape(-1)))

    def check(self, raw: Feeds, sample: LabelledImage | CalibrationSample) -> None:
        """Raise ModelError where the outputs are not one score a class."""
        self.interpret(raw, sample)

    def score(self, samples: Sequence[LabelledImage], predictions: Sequence[ClassScores]) -> Score:
        """Top-1 accuracy, and what is told beside it."""
        return score(samples, predictions, self._classifier.class_map)

    def evidence(self, samples: Sequence[LabelledImage], predictions: Sequence[ClassScores]) -> Hits:
        """The evidence of that score alone."""
        return hits_of(samples, predictions, self._classifier.class_map)

    def agreement(self, reference: Sequence[ClassScores], found: Sequence[ClassScores]) -> float:
        """The probability that both models share, the mean over all images."""
        shared = [overlap(ours, theirs) for ours, theirs in zip(reference, found, strict=True)]
        return float(np.mean(shared)) if shared else 1.0

    def pack(self, predictions: Sequence[ClassScores]) -> Mapping[str, NDArray[Any]]:
        """All probabilities, a row an image."""
        rows = [found.probabilities for found in predictions]
        return {"probabilities": np.array(rows, np.float32).reshape(len(rows), self._classifier.classes)}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[ClassScores]:
        """The predictions that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        rows = arrays["probabilities"]
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != self._classifier.classes:
            raise ValueError("the array does not hold probabilities of these classes")
        return [ClassScores(row) for row in rows]

    def digest(self, sample: LabelledImage | CalibrationSample) -> bytes:
        """A hash of a sample's content."""
        return content_digest(sample)

    @property
    def prediction_bytes(self) -> int:
        """Four bytes a class."""
        return 4 * self._classifier.classes

    def differences(
        self, calibrator: str, samples: Sequence[LabelledImage], reference: Evaluated, found: Evaluated
    ) -> ClassificationDifferences:
        """Which images, of which classes, change."""
        told = self._classifier
        return differences_between(calibrator, samples, reference, found, told.class_map, told.names)

    def describe(
        self, sample: LabelledImage | CalibrationSample, prediction: ClassScores | None = None
    ) -> Look | None:
        """The class and the brightness of an image. Raises ImageError."""
        told = self._classifier
        features: dict[tuple[str, str], int] = {}
        if isinstance(sample, LabelledImage):
            features["class", told.names[told.class_map[sample.label]]] = 1
        elif prediction is not None:
            features["class", told.names[prediction.top]] = 1
        if sample.path is None:
            return Look(features)
        looks = appearance_of(sample.path)
        return Look({**features, ("brightness", looks.band): 1}, looks.hash)

    def _feeds(self, sample: LabelledImage | CalibrationSample) -> dict[str, NDArray[Any]]:
        told = self._classifier
        array = array_that_fits(sample, told.image)
        if array is None:
            assert sample.path is not None
            height, width = told.image.height or 0, told.image.width or 0
            return told.image.feed(prepared(read_image(sample.path), told.preparation, height, width))
        return {told.image.name: array}


def probabilities_of(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Scores (C,) as probabilities: themselves where they are that already, else their softmax."""
    values = scores.astype(np.float64)
    if not np.isfinite(values).all():
        return np.full(len(values), np.nan_to_num(1 / len(values)), np.float32)
    if values.min() >= 0 and abs(values.sum() - 1) < _SUM_SLACK:
        return scores.astype(np.float32)
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum(), np.float32)
