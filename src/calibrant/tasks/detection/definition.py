"""Object detection as a registered task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.tasks import (
    AUTO,
    MODEL,
    Reading,
    Recognition,
    SampleSet,
    TaskDefinition,
    Words,
    option,
)
from calibrant.core.types import ModelSignature
from calibrant.tasks.detection import families
from calibrant.tasks.detection.classes import fitted
from calibrant.tasks.detection.datasets import open_dataset, training_images
from calibrant.tasks.detection.differences import DetectionDifferences
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.inputs import has_prototypes
from calibrant.tasks.detection.looks import BRIGHTNESS, CLASS, SIZE, SIZES
from calibrant.tasks.detection.profile import family_named, is_family, load_profile, packaged_profiles
from calibrant.tasks.detection.score import MAP
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Category, DetectionSample
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_images, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256

_PROFILE_FILES = frozenset({".yaml", ".yml"})
_CLASSES_ASSUMED = 1000
"""Where neither outputs nor labels tell how many classes there are."""


@dataclass(frozen=True)
class DetectionOptions:
    """How boxes become detections."""

    confidence: float = option(
        0.001, "Keep boxes of at least this score.", flags=("--conf", "--confidence"), low=0, high=1
    )
    iou: float = option(0.65, "NMS overlap.", low=0, high=1)
    max_detections: int = option(300, "Boxes kept in each image, at most.", low=1)
    imgsz: int | None = option(
        None, "Side of a square input, for a model with dynamic shape.", metavar="N", low=1, is_side=True
    )
    classes: str | None = option(
        None,
        "Score these classes alone, by name; of a model without names all its own, in its order.",
        metavar="LIST",
    )
    images: str | None = option(
        None, "Folder of the images that a COCO JSON labels [default: near it].", metavar="DIR", is_place=True
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names in ``classes``, which commas separate."""
        return tuple(name.strip() for name in (self.classes or "").split(",") if name.strip())


@dataclass(frozen=True)
class Labels:
    """What a test set says of classes.

    ``class_map`` gives for each of the model's its index in ``categories``.
    """

    categories: tuple[Category, ...]
    class_map: tuple[int, ...]


class Detection(TaskDefinition):
    """Finding objects in images, as boxes with a class and a score."""

    name = "detection"
    title = "object detection: boxes with classes in images"
    words = Words("image", "images", "box", "boxes")
    options = DetectionOptions
    data = "COCO JSON, Ultralytics data.yaml or a Pascal VOC folder"
    calibration = "images: folder, glob, list file, .npy or .npz"
    columns: ClassVar[Mapping[str, str]] = {"map50": "mAP50"}
    few_labels = 100
    differences = DetectionDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {
        SIZE: SIZES,
        BRIGHTNESS: BRIGHTNESS_BANDS,
        CLASS: (),
    }
    same_bits = SAME_PICTURE_BITS

    @property
    def families(self) -> tuple[str, ...]:
        """Every packaged profile and its aliases."""
        return tuple(name for found in packaged_profiles().values() for name in (found.name, *found.aliases))

    @property
    def metric(self) -> Metric:
        """COCO's mean average precision."""
        return MAP

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A detector's family and profile, from its outputs, or as the user names it."""
        if family == AUTO and has_prototypes(signature):
            return None  # of masks: instance segmentation, which finds boxes too
        if family == AUTO:
            found = families.recognise(signature)
        elif Path(family).suffix in _PROFILE_FILES:
            found = families.recognise(signature, load_profile(Path(family)))
        elif is_family(family):
            found = families.recognise(signature, family_named(family))
        else:
            return None
        return Recognition(
            task=self.name,
            family=found.profile.name,
            why=found.why,
            profile=asdict(found.profile),
            facts={"classes": found.class_count} if found.class_count else {},
            detail=found,
        )

    def open_test(
        self, source: str, found: Recognition, options: DetectionOptions, reading: Reading
    ) -> SampleSet:
        """Open a labelled data set and map the model's classes onto it.

        Raises DataError, ImageError or ClassMismatchError.
        """
        images = None if options.images is None else Path(options.images)
        labelled = open_dataset(Path(source), reading.limit, images)
        dataset, class_map = fitted(labelled, _detector(found), options.class_names)
        samples, warnings = check_images(dataset.samples, reading.skip_bad)
        return SampleSet(
            source=str(dataset.source),
            samples=samples,
            warnings=(*dataset.warnings, *warnings),
            facts={
                "boxes": sum(len(sample.truth) for sample in samples),
                "classes": len(dataset.categories),
            },
            truth_sha256=_truth_sha256(samples),
            content_sha256=hashlib.sha256(f"{contents_sha256(samples)} {class_map}".encode()).hexdigest(),
            detail=Labels(dataset.categories, class_map),
        )

    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Images, or arrays that are preprocessed already. Raises DataError or ImageError."""
        del found, options
        return calibration_images(source, reading)

    def calibration_of(self, source: str) -> str | None:
        """The ``train`` images of an Ultralytics data.yaml. Raises DataError."""
        found = training_images(Path(source))
        return None if found is None else str(found)

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: DetectionOptions,
        test: SampleSet | None = None,
    ) -> DetectionTask:
        """The task for a detector; without a test set classes are numbered as the model does."""
        labels = test.detail if test else _own_classes(_detector(found), options.class_names)
        return DetectionTask(
            _detector(found).profile,
            signatures[MODEL],
            categories=labels.categories,
            class_map=labels.class_map,
            confidence=options.confidence,
            iou=options.iou,
            max_detections=options.max_detections,
        )

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> MatchTable:
        """The matches of detections with labels."""
        return MatchTable.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images whose file has the same bytes as a calibration image's."""
        return shared_images(calibration.samples, test.samples)


DETECTION = Detection()


def _detector(found: Recognition) -> families.Recognition:
    assert isinstance(found.detail, families.Recognition)
    return found.detail


def _own_classes(model: families.Recognition, given: tuple[str, ...]) -> Labels:
    """The model's classes: by its own names, those that were given if they are as many, or numbers."""
    count = model.class_count or len(given) or _CLASSES_ASSUMED
    numbered = tuple(f"class {index}" for index in range(count))
    names = model.class_names or (given if len(given) == count else numbered)
    return Labels(tuple(Category(index, name) for index, name in enumerate(names)), tuple(range(len(names))))


def _truth_sha256(samples: Sequence[DetectionSample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        truth = sample.truth
        for array in (truth.boxes, truth.classes, truth.areas, truth.crowd):
            digest.update(array.tobytes())
    return digest.hexdigest()
