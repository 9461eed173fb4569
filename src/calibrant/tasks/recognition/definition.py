"""What text recognition is, whatever the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, MODEL, Reading, Recognition, SampleSet, TaskDefinition, Words, option
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.files import is_file
from calibrant.tasks.media.inputs import ImageTensor, only_image_input
from calibrant.tasks.media.texts import STEPS, Normalisation
from calibrant.tasks.recognition.characters import Characters, characters_in, read_characters
from calibrant.tasks.recognition.differences import RecognitionDifferences
from calibrant.tasks.recognition.kinds import BANDS, KINDS
from calibrant.tasks.recognition.labels import FORMATS, lmdb, open_labels
from calibrant.tasks.recognition.preprocess import LineInput
from calibrant.tasks.recognition.score import CER
from calibrant.tasks.recognition.task import NAME, WORDS, Reader, RecognitionTask
from calibrant.tasks.recognition.types import LineSample

FAMILY = "ctc"

_USUAL_HEIGHT = 48  # PP-OCRv3 and later, where the model leaves the height open
_LEAST_HEIGHT, _MOST_HEIGHT = 16, 64
_LEAST_CHARACTERS = 10  # fewer are the names of classes


@dataclass(frozen=True)
class RecognitionOptions:
    """What a user may say of a recognizer and of how its text is compared."""

    characters: str = option(
        "",
        "The key file, one character a line, or PaddleOCR's inference.yml, where the model tells none.",
        metavar="FILE",
    )
    normalise: str = option(
        "none",
        f"What is done to both texts before they are compared: some of {', '.join(STEPS)}.",
        metavar="STEPS",
    )
    least_width: int = option(
        320,
        "The narrowest input of a model whose width is free, pixels; PaddleOCR pads to 320.",
        low=8,
        high=4096,
    )


class RecognitionDefinition(TaskDefinition):
    """Text recognition by CTC: [N, 3, height, width] in, [N, steps, classes] out."""

    name = NAME
    title: ClassVar[str] = "text recognition (CTC): images of single lines, character error rate"
    words: ClassVar[Words] = WORDS
    options = RecognitionOptions
    data: ClassVar[str] = (
        "PaddleOCR's label file (image<TAB>text), an LMDB, or a .csv or .jsonl of image and text"
    )
    calibration: ClassVar[str] = (
        "a folder of images of lines, a label file, a glob, a .txt list, .npy or .npz"
    )
    columns: ClassVar[Mapping[str, str]] = {"exact lines": "exact lines"}
    few_labels: ClassVar[int] = 2000
    takes_any_size: ClassVar[bool] = True
    differences = RecognitionDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {
        "characters": KINDS,
        "length": BANDS,
        "brightness": BRIGHTNESS_BANDS,
    }
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    @property
    def metric(self) -> Metric:
        """The character error rate."""
        return CER

    @property
    def families(self) -> tuple[str, ...]:
        """CTC alone."""
        return (FAMILY,)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A recognizer shows by the height of its input and by the characters in its metadata.

        Raises ModelError where the family is named and the model's inputs or outputs are no recognizer's.
        """
        if family not in (AUTO, FAMILY):
            return None
        image, output, listed = _parts(signature)
        if image is None or output is None:
            if family == FAMILY:
                raise ModelError(
                    "a CTC recognizer takes one image and gives one output (1, steps, classes); "
                    "this model does not"
                )
            return None
        is_low = _LEAST_HEIGHT <= (image.height or _USUAL_HEIGHT) <= _MOST_HEIGHT
        is_wide = image.width is None or image.width >= 2 * (image.height or _USUAL_HEIGHT)
        has_list = listed is not None and len(listed.listed) >= _LEAST_CHARACTERS
        if family == AUTO and not (is_low and is_wide and (has_list or image.height is not None)):
            return None
        return _recognition(image, output, listed)

    def open_test(
        self, source: str, found: Recognition, options: RecognitionOptions, reading: Reading
    ) -> SampleSet:
        """Open labelled lines. Raises DataError or ImageError."""
        lines = open_labels(Path(source), reading.limit)
        samples, warnings = check_images(lines.samples, reading.skip_bad)
        normalise = Normalisation(options.normalise)
        listed = _characters(options, found.detail)
        decides = f"{contents_sha256(samples)} {listed.listed if listed else ()} {options.least_width}"
        return SampleSet(
            source=source,
            samples=samples,
            warnings=(*lines.warnings, *warnings, *_unknown(samples, normalise, listed)),
            facts={"characters": sum(len(normalise(sample.text)) for sample in samples)},
            truth_sha256=_sha256("\n".join([options.normalise, *(sample.text for sample in samples)])),
            content_sha256=_sha256(decides),
        )

    def open_calibration(
        self, source: str, found: Recognition, options: RecognitionOptions, reading: Reading
    ) -> SampleSet:
        """Open images of lines, labelled or not, in order. Raises DataError or ImageError."""
        del found, options
        samples, warnings = check_images(_calibration(source, reading.limit), reading.skip_bad)
        return SampleSet(source, samples, warnings, content_sha256=contents_sha256(samples))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: RecognitionOptions,
        test: SampleSet | None = None,
    ) -> RecognitionTask:
        """The task for a model. Raises ModelError where it is none, DataError for a broken key file."""
        del test
        image = only_image_input(signatures[MODEL])
        if image is None:
            raise ModelError("the model does not take one image of a line; export it for e.g. 1x3x48x320")
        height = image.height or _USUAL_HEIGHT
        return RecognitionTask(
            Reader(
                image,
                LineInput(image.channels, height, image.width, options.least_width),
                _characters(options, found.detail),
                Normalisation(options.normalise),
            )
        )

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> EditCounts:
        """What a run kept of every line."""
        return EditCounts.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images with the same bytes as a calibration image."""
        return shared_images(calibration.samples, test.samples)


def _parts(signature: ModelSignature) -> tuple[ImageTensor | None, TensorInfo | None, Characters | None]:
    """The image input, the output by steps and classes, and the characters, where the model has them."""
    outputs = signature.outputs
    is_steps = len(outputs) == 1 and len(outputs[0].shape) in (0, 3)  # 0: the file does not say
    return (
        only_image_input(signature),
        outputs[0] if is_steps else None,
        characters_in(signature.metadata),
    )


def _recognition(image: ImageTensor, output: TensorInfo, listed: Characters | None) -> Recognition:
    classes = output.shape[-1] if output.shape else None
    height = image.height or _USUAL_HEIGHT
    why = f"input '{image.name}' is {height} x {image.width or 'any'} pixels, one output by steps"
    if listed is not None:
        why += f", {len(listed.listed)} characters in the metadata"
    return Recognition(
        task=NAME,
        family=FAMILY,
        why=why,
        profile={
            "height": height,
            "width": image.width,
            "channels": image.channels,
            "layout": image.layout,
            "characters": len(listed.listed) if listed else None,
        },
        facts={"classes": classes} if classes else {},
        detail=listed,
    )


def _characters(options: RecognitionOptions, told: Characters | None) -> Characters | None:
    return read_characters(Path(options.characters)) if options.characters else told


def _calibration(source: str, limit: int | None) -> Sequence[Any]:
    """Images as every task takes them, or those that a label file or an LMDB names."""
    path = Path(source)
    if (is_file(path) or lmdb.find(path)) and any(format_.find(path) for format_ in FORMATS):
        return open_labels(path, limit).samples
    return calibration_samples(source, limit)


def _unknown(samples: Sequence[LineSample], normalise: Normalisation, listed: Characters | None) -> list[str]:
    """A remark on written characters that the model cannot read."""
    if listed is None:
        return []
    known = set(normalise("".join(listed.listed))) | {" "}
    texts = [normalise(sample.text) for sample in samples]
    missing = [character for text in texts for character in text if character not in known]
    if not missing:
        return []
    return [
        f"{len(missing)} of {sum(map(len, texts))} written characters are none of the model's, e.g. "
        f"{missing[0]!r}; each counts as an error of every candidate"
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
