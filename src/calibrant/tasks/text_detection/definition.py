"""What text detection is, whatever the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import ModelError
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
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.inputs import ImageTensor, only_image_input
from calibrant.tasks.media.pages import PageSample, open_pages
from calibrant.tasks.media.pages.labels import FORMS, is_label_file
from calibrant.tasks.text_detection.comparing import HEIGHTS
from calibrant.tasks.text_detection.differences import TextDetectionDifferences
from calibrant.tasks.text_detection.evidence import FoundRegions
from calibrant.tasks.text_detection.profile import FAMILIES, MULTIPLE
from calibrant.tasks.text_detection.profile import Reading as HowRead
from calibrant.tasks.text_detection.score import HMEAN
from calibrant.tasks.text_detection.task import NAME, WORDS, TextDetectionTask, TextFinder

_ASSUMED = "paddleocr"
_UPSAMPLING = "ConvTranspose"
"""A DB head brings its map to the image's size by two of them, then a Sigmoid."""


@dataclass(frozen=True)
class TextDetectionOptions:
    """What a user may say of how images are prepared and maps are read; None: as the family does."""

    limit_side: int | None = option(
        None, "Pixels of the side that is limited [default: the family's].", low=32, high=8192
    )
    limit_type: str = option(
        "",
        "Which side: the longer one at most (max), or the shorter one at least (min) so long.",
        choices=("", "max", "min"),
    )
    binarize: float | None = option(None, "The probability from which a pixel is text.", low=0, high=1)
    box_threshold: float | None = option(None, "The least mean probability of an outline.", low=0, high=1)
    unclip: float | None = option(None, "How far outlines grow, by area over length.", low=0, high=10)


class TextDetectionDefinition(TaskDefinition):
    """Text detection by a map: [N, 3, height, width] in, [N, 1, height, width] probabilities out."""

    name = NAME
    title: ClassVar[str] = "text detection (DBNet): outlines of lines, hmean at an overlap of a half"
    words: ClassVar[Words] = WORDS
    options = TextDetectionOptions
    data: ClassVar[str] = FORMS
    calibration: ClassVar[str] = "a folder of images, a label file, a glob, a .txt list, .npy or .npz"
    columns: ClassVar[Mapping[str, str]] = {"precision": "precision", "recall": "recall"}
    few_labels: ClassVar[int] = 500
    takes_any_size: ClassVar[bool] = True
    differences = TextDetectionDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {
        "height": tuple(HEIGHTS),
        "brightness": BRIGHTNESS_BANDS,
    }
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    @property
    def metric(self) -> Metric:
        """Hmean."""
        return HMEAN

    @property
    def families(self) -> tuple[str, ...]:
        """The ways to prepare and to read that have names."""
        return tuple(FAMILIES)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A DB detector shows by its one map, and by the operators that bring it to the image's size.

        Raises ModelError where the family is named and the model's input or output is no text detector's.
        """
        if family not in FAMILIES and family != AUTO:
            return None
        image = only_image_input(signature)
        if image is None or not _is_map(signature, image):
            if family in FAMILIES:
                raise ModelError(
                    "a text detector takes one colour image and gives one map (1, 1, height, width); this "
                    "model does not"
                )
            return None
        counts = signature.op_counts
        has_head = counts.get(_UPSAMPLING, 0) >= 2 and counts.get("Sigmoid") == 1
        if family == AUTO and not (has_head and "Softmax" not in counts):
            return None
        name = _ASSUMED if family == AUTO else family
        why = "one map of an image, brought to its size by two ConvTranspose and a Sigmoid"
        if family == AUTO:
            why += f"; nothing tells how it is fed and read, so {name}'s way is assumed"
        return Recognition(
            task=NAME,
            family=name,
            why=why,
            profile={
                "height": image.height,
                "width": image.width,
                "layout": image.layout,
                "reading": _plain(FAMILIES[name]),
            },
        )

    def open_test(
        self, source: str, found: Recognition, options: TextDetectionOptions, reading: Reading
    ) -> SampleSet:
        """Open labelled images. Raises DataError or ImageError."""
        pages = open_pages(Path(source), reading.limit)
        samples, warnings = check_images(pages.samples, reading.skip_bad)
        decides = f"{contents_sha256(samples)} {_how(options, found)}"
        return SampleSet(
            source=source,
            samples=samples,
            warnings=(*pages.warnings, *warnings),
            facts={"regions": sum(not one.is_ignored for sample in samples for one in sample.regions)},
            truth_sha256=_sha256(str([_truth(sample) for sample in samples])),
            content_sha256=_sha256(decides),
        )

    def open_calibration(
        self, source: str, found: Recognition, options: TextDetectionOptions, reading: Reading
    ) -> SampleSet:
        """Open images, labelled or not, in order. Raises DataError or ImageError."""
        is_labelled = is_label_file(Path(source))
        opened = open_pages(Path(source), reading.limit).samples if is_labelled else ()
        samples: Sequence[Any] = opened or calibration_samples(source, reading.limit)
        samples, warnings = check_images(samples, reading.skip_bad)
        decides = f"{contents_sha256(samples)} {_how(options, found)}"
        return SampleSet(source, tuple(samples), warnings, content_sha256=_sha256(decides))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: TextDetectionOptions,
        test: SampleSet | None = None,
    ) -> TextDetectionTask:
        """The task for a model. Raises ModelError where it is none."""
        del test
        image = only_image_input(signatures[MODEL])
        if image is None:
            raise ModelError("the model does not take one image; export it for e.g. 1x3x736x736")
        return TextDetectionTask(TextFinder(image, _how(options, found)))

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> FoundRegions:
        """What a run kept of every image."""
        return FoundRegions.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images with the same bytes as a calibration image."""
        return shared_images(calibration.samples, test.samples)


def _is_map(signature: ModelSignature, image: ImageTensor) -> bool:
    """Whether a model takes a colour image of free or even sides and may give one map of its size."""
    if image.channels != 3 or len(signature.outputs) != 1:
        return False
    if any(side and side % MULTIPLE for side in (image.height, image.width)):
        return False
    shape = signature.outputs[0].shape
    if not shape:  # the file does not say
        return True
    sides = zip(shape[2:], (image.height, image.width), strict=False)
    return (
        len(shape) == 4
        and shape[1] in (None, 1)
        and all(told in (None, side) or side is None for told, side in sides)
    )


def _how(options: TextDetectionOptions, found: Recognition) -> HowRead:
    """The family's way, with what the user says."""
    said = {name: value for name, value in asdict(options).items() if value not in (None, "")}
    return replace(FAMILIES[found.family], **said)


def _plain(reading: HowRead) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(reading).items()
    }


def _truth(sample: PageSample) -> list[Any]:
    return [(one.outline.tolist(), one.is_ignored) for one in sample.regions]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
