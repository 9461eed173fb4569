"""The detection task: drives a detector on an image, reads its boxes, scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, ResultCache, Task, Words, sole
from calibrant.core.types import Feeds, IntArray, ModelSignature, Session
from calibrant.tasks.detection.agreement import agreement
from calibrant.tasks.detection.comparing import detection_differences
from calibrant.tasks.detection.decode import Candidates
from calibrant.tasks.detection.decode.candidates import Wanted, describe_shape, shapes_of, strongest
from calibrant.tasks.detection.differences import DetectionDifferences
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.frames import fresh_frames, kept_frames
from calibrant.tasks.detection.inputs import image_input, other_feeds
from calibrant.tasks.detection.looks import look_at
from calibrant.tasks.detection.nms import by_score, non_maximum_suppression
from calibrant.tasks.detection.packing import packed, unpacked
from calibrant.tasks.detection.picture import SURE, drawn, png, worth_drawing
from calibrant.tasks.detection.preprocess import Placement, normalised
from calibrant.tasks.detection.profile import Profile, families_that_fit
from calibrant.tasks.detection.score import MAP, evidence_of, score
from calibrant.tasks.detection.types import Category, Detections, DetectionSample
from calibrant.tasks.media.contents import content_digest
from calibrant.tasks.media.images import read_image
from calibrant.tasks.media.samples import CalibrationSample, array_of

_FIRST_LOOK = 2560
"""Candidates that are looked at before all are."""


@dataclass(frozen=True, eq=False)
class RawOutputs:
    """A model's outputs for one image, by name, and where it lay in the input (None for a bare array)."""

    outputs: Feeds
    placement: Placement | None


class DetectionTask(Task):
    """Detection by one model.

    ``class_map`` gives for each of the model's classes its index in ``categories``, negative for none; both
    may be empty where nothing is scored, as in calibration. ``imgsz`` (a side, or height and width in
    pixels) is needed where the model leaves its input size open. Raises ModelError or SettingsError when
    the model's inputs do not fit.
    """

    name = "detection"
    words = Words("image", "images", "box", "boxes")

    def __init__(
        self,
        profile: Profile,
        signature: ModelSignature,
        *,
        categories: Sequence[Category] = (),
        class_map: Sequence[int] = (),
        confidence: float = 0.001,
        iou: float = 0.65,
        max_detections: int = 300,
        imgsz: int | tuple[int, int] | None = None,
    ) -> None:
        self.profile = profile
        self.categories = tuple(categories)
        # The last entry stands for every class that the map does not know, such as the -1 of empty rows.
        self._category_of = np.array([*class_map, -1], np.int64)
        self._confidence, self._iou, self._max_detections = confidence, iou, max_detections
        self._input = image_input(signature)
        self._frame = self._input.frame(imgsz)
        self._other_feeds = other_feeds(signature, self._frame)
        self._frames = fresh_frames(profile.input, self._frame)

    @property
    def metric(self) -> Metric:
        """COCO's mean average precision."""
        return MAP

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[DetectionSample | CalibrationSample]
    ) -> list[RawOutputs]:
        """Run the model once on each sample's image, or on its array when it is already preprocessed.

        Raises ImageError when an image cannot be read, DataError when an array does not fit the input.
        """
        return [self._driven(sole(sessions), sample) for sample in samples]

    def _driven(self, session: Session, sample: DetectionSample | CalibrationSample) -> RawOutputs:
        array = array_of(sample)
        if array is not None:
            return RawOutputs(session.run(self._feeds(self._checked(array, sample.id))), None)
        if sample.path is None:
            raise DataError(f"calibration sample '{sample.id}' has neither image nor array; give one of them")
        pixels, where = self._frames(sample.path)
        return RawOutputs(session.run(self._feeds(normalised(pixels, self.profile.input))), where)

    def interpret(self, raw: RawOutputs, sample: DetectionSample | CalibrationSample) -> Detections:
        """The boxes in one image, best first, in pixels of the original image.

        Raises ModelError when the outputs are not what the profile's decoder reads.
        """
        where = self._placement_of(raw, sample)
        # The best candidates mostly fill an image; weaker ones cannot change what they decided.
        for wanted in (Wanted(self._confidence, _FIRST_LOOK), Wanted(self._confidence)):
            found, is_all = self._candidates(raw.outputs, wanted)
            kept = self._kept(found)
            if is_all or len(kept) == self._max_detections:
                break
        return Detections(where.to_original(found.boxes[kept]), found.scores[kept], found.classes[kept])

    @staticmethod
    def _placement_of(raw: RawOutputs, sample: Any) -> Placement:
        if raw.placement is None:
            raise DataError(
                f"sample '{sample.id}' is a bare array, so its boxes have no image; give the image"
            )
        return raw.placement

    def check(self, raw: RawOutputs, sample: DetectionSample | CalibrationSample) -> None:
        """Raise ModelError where a float model's raw outputs contradict the profile.

        The error names the evidence, and the families that would fit.
        """
        del sample
        decoder = self.profile.output.decoder
        decoder.class_count(shapes_of(raw.outputs), self._frame)
        with np.errstate(all="ignore"):
            doubt = decoder.doubt(raw.outputs, self._frame)
        if doubt:
            fitting = ", ".join(families_that_fit(raw.outputs, self._frame))
            known = f" (such outputs fit {fitting})" if fitting else ""
            raise ModelError(
                f"the outputs are not those of {self.profile.name}: {doubt}; name another --family{known}, "
                "or describe the model in a YAML profile"
            )

    def picture(self, raw: RawOutputs, sample: CalibrationSample) -> tuple[str, bytes]:
        """A sentence on what was found in an image, and the image with it drawn, as a PNG file's content.

        Raises DataError for a sample that is no image.
        """
        found = self.interpret(raw, sample)
        assert sample.path is not None  # else interpret has refused it
        labels = [category.name for category in self.categories]
        shown = worth_drawing(found)
        sure = int((found.scores >= SURE).sum())
        best = f", the best {labels[found.classes[0]]} at {found.scores[0]:.2f}" if len(found) else ""
        words = f"boxes that score {SURE} or more: {sure}{best}"
        return words, png(drawn(read_image(sample.path), shown, labels))

    def score(self, samples: Sequence[DetectionSample], predictions: Sequence[Detections]) -> Score:
        """COCO's mean average precision of predictions, one for each labelled sample, in the same order."""
        return score(samples, predictions, self.categories)

    def evidence(self, samples: Sequence[DetectionSample], predictions: Sequence[Detections]) -> MatchTable:
        """The evidence of that score alone, which takes less time."""
        return evidence_of(samples, predictions, self.categories)

    def differences(
        self,
        calibrator: str,
        samples: Sequence[DetectionSample],
        reference: Evaluated,
        found: Evaluated,
    ) -> DetectionDifferences:
        """What a user notices of a candidate against FP32."""
        return detection_differences(calibrator, samples, reference, found, self.categories)

    def describe(
        self, sample: DetectionSample | CalibrationSample, prediction: Detections | None = None
    ) -> Look | None:
        """An image by its labelled boxes, or by what a model finds in it; None for a bare array.

        Raises ImageError.
        """
        return look_at(sample, prediction, self.categories)

    def agreement(self, reference: Sequence[Detections], found: Sequence[Detections]) -> float:
        """How far two models find the same boxes with the same scores, 0..1; no labels needed."""
        return agreement(reference, found)

    @property
    def prepared_bytes(self) -> int:
        """What one image takes when it is kept as it was fitted into the input."""
        return 3 * self._frame.height * self._frame.width

    @property
    def prediction_bytes(self) -> int:
        """What the most detections take: corners as float32, a score and an int64 class each."""
        return 28 * self._max_detections

    def memory(self, sample: DetectionSample | CalibrationSample) -> int:
        """An image is decoded to three bytes a pixel, then fitted; 0 where its size is not known."""
        width, height = getattr(sample, "width", None), getattr(sample, "height", None)
        return 6 * int(width) * int(height) if width and height else 0

    def remembering(self, cache: ResultCache) -> DetectionTask:
        """The same task, which reads and fits each image once and then finds it with ``cache``."""
        task = copy(self)
        task._frames = kept_frames(self.profile.input, self._frame, cache)
        return task

    def digest(self, sample: DetectionSample | CalibrationSample) -> bytes:
        """A hash of a sample's content."""
        return content_digest(sample)

    def pack(self, predictions: Sequence[Detections]) -> dict[str, NDArray[Any]]:
        """Predictions as plain arrays by name."""
        return packed(predictions)

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> list[Detections]:
        """The predictions that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        return unpacked(arrays)

    def _feeds(self, tensor: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {self._input.name: self._input.cast(tensor), **self._other_feeds}

    def _checked(self, array: NDArray[Any], sample_id: str) -> NDArray[Any]:
        height, width = self._frame.height, self._frame.width
        shape = (1, 3, height, width) if self._input.layout == "nchw" else (1, height, width, 3)
        if array.shape != shape:
            raise DataError(
                f"calibration sample '{sample_id}' has shape {describe_shape(array.shape)} but the model "
                f"takes {describe_shape(shape)}; preprocess it for this model"
            )
        return np.ascontiguousarray(array)

    def _candidates(self, outputs: Feeds, wanted: Wanted) -> tuple[Candidates, bool]:
        """The best candidates, as many as are wanted, and whether there are no more."""
        with np.errstate(over="ignore", invalid="ignore"):  # such boxes are no numbers, and left out
            found = self.profile.output.decoder.decode(outputs, self._frame, wanted)
        if len(found) < wanted.most:
            return self._labelled(found), True
        best = strongest(found.scores, wanted.most)
        return self._labelled(Candidates(found.boxes[best], found.scores[best], found.classes[best])), False

    def _labelled(self, found: Candidates) -> Candidates:
        """Candidates with usable boxes, of classes that the data set labels, under its numbers."""
        classes = self._category_of[found.classes.clip(-1, len(self._category_of) - 1)]
        if np.isfinite(found.boxes).all() and (classes >= 0).all():
            return Candidates(found.boxes, found.scores, classes)
        usable = np.isfinite(found.boxes).all(axis=1) & (classes >= 0)
        return Candidates(found.boxes[usable], found.scores[usable], classes[usable])

    def _kept(self, found: Candidates) -> IntArray:
        if not self.profile.output.nms:
            return by_score(found)[: self._max_detections]
        agnostic = self.profile.output.class_agnostic
        return non_maximum_suppression(found, self._iou, self._max_detections, agnostic)
