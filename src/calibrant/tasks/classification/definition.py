"""What image classification is, whatever the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, MODEL, Reading, Recognition, SampleSet, TaskDefinition, Words, option
from calibrant.core.types import ModelSignature
from calibrant.tasks.classification.classes import class_names, match_classes
from calibrant.tasks.classification.differences import ClassificationDifferences
from calibrant.tasks.classification.evidence import Hits
from calibrant.tasks.classification.labels import open_labels
from calibrant.tasks.classification.profile import FAMILIES, Preparation, read_preparation
from calibrant.tasks.classification.score import TOP1
from calibrant.tasks.classification.task import NAME, WORDS, ClassificationTask, Classifier
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.files import text_of
from calibrant.tasks.media.inputs import only_image_input

_ASSUMED = "torchvision"

_SELECTING = frozenset({"NonMaxSuppression", "TopK", "EfficientNMS_TRT"})
"""Operators of detectors, of which some also give rows of a few numbers."""


@dataclass(frozen=True)
class ClassificationOptions:
    """What a user may say of a classifier."""

    classes: str = option(
        "", "A file with the model's class names, one a line, in its order.", metavar="FILE"
    )
    preparation: str = option(
        "",
        "How images are prepared: timm's config.json, transformers' preprocessor_config.json or YAML.",
        metavar="FILE",
    )


class ClassificationDefinition(TaskDefinition):
    """Image classification: [N, 3, height, width] in, [N, classes] logits or probabilities out."""

    name = NAME
    title: ClassVar[str] = "image classification: top-1 accuracy"
    words: ClassVar[Words] = WORDS
    options = ClassificationOptions
    data: ClassVar[str] = (
        "a folder with a subfolder a class, Ultralytics' data set folder, a .csv of image and class"
    )
    calibration: ClassVar[str] = "a folder of images, a glob, a .txt list, .npy or .npz"
    columns: ClassVar[Mapping[str, str]] = {"top-5": "top-5"}
    few_labels: ClassVar[int] = 500
    differences = ClassificationDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {"class": (), "brightness": BRIGHTNESS_BANDS}
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    @property
    def metric(self) -> Metric:
        """Top-1 accuracy."""
        return TOP1

    @property
    def families(self) -> tuple[str, ...]:
        """The preparations that have names."""
        return tuple(FAMILIES)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A classifier takes one image and gives a row of scores.

        Raises ModelError where the family is named, or in the metadata, and the model is none.
        """
        image = only_image_input(signature)
        shape = signature.outputs[0].shape if len(signature.outputs) == 1 else (0,) * 9
        classes = shape[1] if len(shape) == 2 else None
        told = _told(signature.metadata)
        is_row = classes is not None and classes > 1 and not _SELECTING & signature.op_counts.keys()
        is_one = image is not None and image.channels == 3 and is_row
        if family not in FAMILIES and family != AUTO:
            return None
        if not is_one or image is None:
            if family in FAMILIES or told == "ultralytics":
                raise ModelError(
                    "a classifier takes one colour image and gives one output (1, classes); this does not"
                )
            return None
        name = told or _ASSUMED if family == AUTO else family
        reason = f"one image in, {classes} scores out"
        if family == AUTO:
            reason += (
                f", prepared as {name}'s metadata says"
                if told
                else f"; nothing tells how images are prepared, so {name}'s way is assumed"
            )
        names = class_names(signature.metadata)
        return Recognition(
            task=NAME,
            family=name,
            why=reason,
            profile={"preparation": _plain(FAMILIES[name]), "layout": image.layout},
            facts={"classes": classes},
            detail=names if names and len(names) == classes else None,
        )

    def open_test(
        self, source: str, found: Recognition, options: ClassificationOptions, reading: Reading
    ) -> SampleSet:
        """Open labelled images. Raises DataError, ImageError or ClassMismatchError."""
        labelled = open_labels(Path(source), reading.limit)
        class_map = match_classes(labelled.classes, found.facts["classes"], _names(options, found))
        samples, warnings = check_images(labelled.samples, reading.skip_bad)
        decides = f"{contents_sha256(samples)} {class_map} {_preparation(options, found)}"
        return SampleSet(
            source=source,
            samples=samples,
            warnings=warnings,
            facts={"labelled images": len(samples), "classes": len({sample.label for sample in samples})},
            truth_sha256=_sha256(str([class_map[sample.label] for sample in samples])),
            content_sha256=_sha256(decides),
            detail=(labelled.classes, class_map),
        )

    def open_calibration(
        self, source: str, found: Recognition, options: ClassificationOptions, reading: Reading
    ) -> SampleSet:
        """Open images, in order. Raises DataError or ImageError."""
        samples, warnings = check_images(calibration_samples(source, reading.limit), reading.skip_bad)
        decides = f"{contents_sha256(samples)} {_preparation(options, found)}"
        return SampleSet(source, samples, warnings, content_sha256=_sha256(decides))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: ClassificationOptions,
        test: SampleSet | None = None,
    ) -> ClassificationTask:
        """The task for a model. Raises ModelError where its input has no fixed size."""
        image = only_image_input(signatures[MODEL])
        if image is None or not image.height or not image.width:
            raise ModelError("the model's input has no fixed size; give it, e.g. --input-shape 224x224")
        count = found.facts["classes"]
        labels, class_map = test.detail if test else ((), ())
        names = list(_names(options, found) or map(str, range(count)))
        if not _names(options, found):
            for label, index in zip(labels, class_map, strict=True):
                names[index] = label
        return ClassificationTask(
            Classifier(image, _preparation(options, found), count, tuple(class_map), tuple(names))
        )

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> Hits:
        """What a run kept of every image."""
        return Hits.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images with the same bytes as a calibration image."""
        return shared_images(calibration.samples, test.samples)


def _told(metadata: Mapping[str, str]) -> str | None:
    """The family that an ONNX file's metadata tells."""
    if metadata.get("task") == "classify":
        return "ultralytics"
    return "paddleclas" if "character" in metadata else None


def _names(options: ClassificationOptions, found: Recognition) -> tuple[str, ...] | None:
    """The model's class names: the user's, or those in its metadata."""
    if not options.classes:
        names: tuple[str, ...] | None = found.detail
        return names
    names = tuple(line.strip() for line in text_of(Path(options.classes)).splitlines() if line.strip())
    if len(names) != found.facts["classes"]:
        raise SettingsError(
            f"'{options.classes}' names {len(names)} classes and the model has {found.facts['classes']}; "
            "write one a line"
        )
    return names


def _preparation(options: ClassificationOptions, found: Recognition) -> Preparation:
    return read_preparation(Path(options.preparation)) if options.preparation else FAMILIES[found.family]


def _plain(preparation: Preparation) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(preparation)))
    return plain


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
