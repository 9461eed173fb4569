"""What semantic segmentation is, whatever the model."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import ClassMismatchError, DataError, ModelError, SettingsError
from calibrant.core.metrics import Metric
from calibrant.core.reading import sha256_of
from calibrant.core.tasks import AUTO, MODEL, Reading, Recognition, SampleSet, TaskDefinition, Words, option
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.files import files_in, is_folder, text_of
from calibrant.tasks.media.images import IMAGE_SUFFIXES, read_numbers
from calibrant.tasks.media.inputs import ImageTensor, only_image_input
from calibrant.tasks.semantic.differences import SemanticDifferences
from calibrant.tasks.semantic.evidence import PixelCounts
from calibrant.tasks.semantic.labels import FORMS, open_masks
from calibrant.tasks.semantic.profile import FAMILIES
from calibrant.tasks.semantic.score import MIOU
from calibrant.tasks.semantic.task import NAME, WORDS, Segmenter, SemanticTask
from calibrant.tasks.semantic.types import NO_CLASS, MaskValues, SegmentedImage

_ASSUMED = "torchvision"
_MAIN = ("out", "logits", "output")
"""Outputs with an auxiliary head beside them: the one of these names is the segmenter's."""
_COLOURS = 3
_MOST_CLASSES = 1024
_COARSEST = 8
"""Input pixels to a side of the map's at most, where the family is not named."""
_SELECTING = frozenset({"NonMaxSuppression", "TopK", "EfficientNMS_TRT"})


@dataclass(frozen=True)
class SemanticOptions:
    """What a user may say of a segmenter and its masks."""

    classes: str = option(
        "", "A file with the model's class names, one a line, in its order.", metavar="FILE"
    )
    ignore_label: int = option(255, "Pixels of this value in a mask do not count.", low=0, high=NO_CLASS)
    first_label: int = option(
        0,
        "A mask's value for the model's first class; what is below does not count (ADE20K: 1).",
        low=0,
        high=NO_CLASS,
    )


@dataclass(frozen=True)
class Head:
    """Where a model gives its map.

    axis: of the classes; None: it gives their numbers. classes: how many; None: the file does not say.
    """

    output: str
    axis: int | None
    classes: int | None
    why: str


class SemanticDefinition(TaskDefinition):
    """Semantic segmentation: one image in, a map of scores [N, C, H, W] or [N, H, W, C] or of classes out."""

    name = NAME
    title: ClassVar[str] = "semantic segmentation: a class for each pixel, mIoU"
    words: ClassVar[Words] = WORDS
    options = SemanticOptions
    data: ClassVar[str] = FORMS
    calibration: ClassVar[str] = "a folder of images, a glob, a .txt list, .npy or .npz"
    columns: ClassVar[Mapping[str, str]] = {"pixel accuracy": "pixels"}
    few_labels: ClassVar[int] = 50
    differences = SemanticDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {"class": (), "brightness": BRIGHTNESS_BANDS}
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    @property
    def metric(self) -> Metric:
        """The mean intersection over union."""
        return MIOU

    @property
    def families(self) -> tuple[str, ...]:
        """The preparations that have names."""
        return tuple(f"semantic-{name}" for name in FAMILIES)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A segmenter takes one colour image and gives a map of scores, or of numbers of classes.

        Where the family is not named, a map has to be as fine as an eighth of the input and not of three
        channels, as pictures have. Raises ModelError where the family is named, or in the metadata, and
        the model is none.
        """
        told = signature.metadata.get("task")
        if family not in (AUTO, *self.families) or (family == AUTO and told not in (None, NAME)):
            return None
        is_named = family != AUTO or told == NAME
        image = only_image_input(signature)
        head = (
            _head(signature, image, is_named=is_named) if image is not None and image.channels == 3 else None
        )
        if image is None or head is None:
            if is_named:
                raise ModelError(
                    "a segmenter takes one colour image and gives a map of scores (1, classes, height, "
                    "width) or of classes; this model does not"
                )
            return None
        chosen = (
            family.removeprefix("semantic-")
            if family != AUTO
            else "ultralytics"
            if told == NAME
            else _ASSUMED
        )
        assumed = "" if is_named else f"; nothing tells how images are prepared, so {chosen}'s way is assumed"
        names = _names_in(signature.metadata)
        count = head.classes or (len(names) if names else None)
        return Recognition(
            task=NAME,
            family=f"semantic-{chosen}",
            why=f"{head.why}{assumed}",
            profile={
                "preparation": _plain(chosen),
                "layout": image.layout,
                "output": head.output,
                "axis": head.axis,
            },
            facts={"classes": count} if count else {},
            detail=(head, names if names and len(names) == count else None),
        )

    def open_test(
        self, source: str, found: Recognition, options: SemanticOptions, reading: Reading
    ) -> SampleSet:
        """Open images with masks. Raises DataError, ImageError or ClassMismatchError."""
        opened, remarks = open_masks(Path(source), reading.limit)
        samples, warnings = check_images(opened, reading.skip_bad)
        names = _names(options, found)
        greatest = _greatest(samples, _values(options), len(names) if names else None)
        if greatest < 0:
            raise DataError(
                f"no pixel of the masks in '{source}' is of a class; see --ignore-label and --first-label"
            )
        decides = f"{contents_sha256(samples)} {options} {found.profile}"
        return SampleSet(
            source=source,
            samples=samples,
            warnings=(*remarks, *warnings),
            facts={"masks": len(samples)},
            truth_sha256=_sha256(f"{options} {[sha256_of(sample.mask) for sample in samples]}"),
            content_sha256=_sha256(decides),
            detail=names or tuple(map(str, range(greatest + 1))),
        )

    def open_calibration(
        self, source: str, found: Recognition, options: SemanticOptions, reading: Reading
    ) -> SampleSet:
        """Open images, in order. Raises DataError or ImageError."""
        samples, warnings = check_images(
            calibration_samples(_images_of(source), reading.limit), reading.skip_bad
        )
        decides = f"{contents_sha256(samples)} {options} {found.profile}"
        return SampleSet(source, samples, warnings, content_sha256=_sha256(decides))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: SemanticOptions,
        test: SampleSet | None = None,
    ) -> SemanticTask:
        """The task for a model. Raises ModelError where its input has no fixed size."""
        image = only_image_input(signatures[MODEL])
        if image is None or not image.height or not image.width:
            raise ModelError("the model's input has no fixed size; give it, e.g. --input-shape 512x512")
        head: Head = found.detail[0]
        names = test.detail if test else _names(options, found) or tuple(map(str, range(256)))
        how = FAMILIES[found.family.removeprefix("semantic-")]
        return SemanticTask(Segmenter(image, head.output, head.axis, how, _values(options), names))

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> PixelCounts:
        """What a run kept of every image."""
        return PixelCounts.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images with the same bytes as a calibration image."""
        return shared_images(calibration.samples, test.samples)


# --- recognition -----------------------------------------------------------------------------------


def _head(signature: ModelSignature, image: ImageTensor, *, is_named: bool) -> Head | None:
    """The output that is a map; None: there is none, or it may as well be something else."""
    output = _main_output(signature)
    if output is None or (_SELECTING & signature.op_counts.keys() and not is_named):
        return None
    if not output.dtype.startswith(("float", "bfloat")):
        return _map_of_numbers(output, image)
    return _map_of_scores(output, image, is_named=is_named)


def _main_output(signature: ModelSignature) -> TensorInfo | None:
    if len(signature.outputs) == 1:
        return signature.outputs[0]
    named = [info for info in signature.outputs if info.name.lower() in _MAIN]
    return named[0] if len(named) == 1 and len(signature.outputs) == 2 else None


def _map_of_numbers(output: TensorInfo, image: ImageTensor) -> Head | None:
    shape = output.shape
    sides = {3: shape[1:], 4: shape[2:] if len(shape) == 4 and shape[1] == 1 else shape[1:3]}.get(len(shape))
    is_plain = len(shape) == 3 or (len(shape) == 4 and 1 in (shape[1], shape[3]))
    if sides is None or not is_plain or shape[0] not in (None, 1) or not _are_sides(sides, image, 1):
        return None
    return Head(output.name, None, None, "one map of the input's size, of the numbers of classes")


def _map_of_scores(output: TensorInfo, image: ImageTensor, *, is_named: bool) -> Head | None:
    shape = output.shape
    if len(shape) != 4 or shape[0] not in (None, 1):
        return None
    for axis, sides in ((1, shape[2:]), (3, shape[1:3])):
        count = shape[axis]
        if count is None or not 2 <= count <= _MOST_CLASSES or (count == _COLOURS and not is_named):
            continue
        if _are_sides(sides, image, 64 if is_named else _COARSEST):
            how = "classes first" if axis == 1 else "classes last"
            return Head(output.name, axis, count, f"one map of scores of {count} classes ({how})")
    return None


def _are_sides(sides: Sequence[int | None], image: ImageTensor, coarsest: int) -> bool:
    """Whether these are a map's height and width for this input: both a whole part of it, the same."""
    whole = (image.height, image.width)
    if None in sides or None in whole:
        return all(
            side is None or full is None or side <= full for side, full in zip(sides, whole, strict=True)
        )
    parts = {full / side for side, full in zip(sides, whole, strict=True) if side and full}
    return len(parts) == 1 and next(iter(parts)).is_integer() and next(iter(parts)) <= coarsest


def _names_in(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """The class names that Ultralytics writes into an ONNX file, by number."""
    try:
        value = ast.literal_eval(metadata.get("names", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    if not isinstance(value, dict) or set(value) != set(range(len(value))) or not value:
        return None
    return tuple(str(value[index])[:80] for index in range(len(value)))


# --- classes ---------------------------------------------------------------------------------------


def _names(options: SemanticOptions, found: Recognition) -> tuple[str, ...] | None:
    """The model's class names: the user's, its metadata's, or numbers; None: it is not known how many."""
    count = found.facts.get("classes")
    if options.classes:
        names = tuple(line.strip() for line in text_of(Path(options.classes)).splitlines() if line.strip())
        if count and len(names) != count:
            raise SettingsError(
                f"'{options.classes}' names {len(names)} classes and the model has {count}; write one a line"
            )
        return names
    return found.detail[1] or (tuple(map(str, range(count))) if count else None)


def _values(options: SemanticOptions) -> MaskValues:
    return MaskValues(options.first_label, options.ignore_label)


def _greatest(samples: Sequence[SegmentedImage], values: MaskValues, count: int | None) -> int:
    """The greatest class in the masks, -1 where there is none. Raises ClassMismatchError beyond ``count``."""
    greatest = -1
    for sample in samples:
        classes = values.classes_of(read_numbers(sample.mask))
        labelled = classes[classes != NO_CLASS]
        here = int(labelled.max()) if labelled.size else -1
        if count is not None and here >= count:
            raise ClassMismatchError(
                f"the mask '{sample.mask}' has the value {here + values.first} and the model {count} "
                "classes; see --ignore-label and --first-label"
            )
        greatest = max(greatest, here)
    return greatest


def _images_of(source: str) -> str:
    """The images of a set that has masks, too: those in its training split or its folder of images."""
    images = Path(source) / "images"
    for folder in (images / "train", images / "training", images):
        if is_folder(folder) and files_in(folder, IMAGE_SUFFIXES):
            return str(folder)
    return source


def _plain(family: str) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(FAMILIES[family]).items()
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
