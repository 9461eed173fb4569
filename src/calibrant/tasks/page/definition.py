"""What reading a page is, whatever the parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import (
    AUTO,
    ModelFolder,
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
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.inputs import ImageTensor, only_image_input
from calibrant.tasks.media.pages import PageSample, open_pages
from calibrant.tasks.media.pages.labels import FORMS, is_label_file
from calibrant.tasks.media.texts import STEPS, Normalisation
from calibrant.tasks.page.differences import PageDifferences
from calibrant.tasks.page.score import PAGE_CER
from calibrant.tasks.page.task import CLS, DET, NAME, REC, WORDS, LineReader, PageReader, PageTask
from calibrant.tasks.recognition.characters import Characters, characters_in, read_characters
from calibrant.tasks.recognition.kinds import KINDS
from calibrant.tasks.recognition.preprocess import LineInput
from calibrant.tasks.text_detection.profile import FAMILIES
from calibrant.tasks.text_detection.task import TextFinder

RAPIDOCR, PADDLEOCR = "rapidocr", "paddleocr"

_HEIGHT = 48  # of a line, where the model leaves it open: PP-OCRv3 and later
_LEAST_WIDTH, _TURNED_WIDTH = 320, 192
_KEY_WORDS = ("keys", "dict", "charset")
_CONFIGURATIONS = (".yml", ".yaml")


@dataclass(frozen=True)
class PageOptions:
    """What a user may say of how pages are read and compared."""

    characters: str = option(
        "",
        "The recognizer's key file, where neither its metadata nor a file beside it tells the characters.",
        metavar="FILE",
    )
    normalise: str = option(
        "none",
        f"What is done to both texts before they are compared: some of {', '.join(STEPS)}.",
        metavar="STEPS",
    )
    least_confidence: float = option(
        0.5, "Lines that are read less surely are left out; RapidOCR's text_score.", low=0, high=1
    )


@dataclass(frozen=True)
class Parts:
    """What recognition found beside the parts."""

    characters: Characters | None


class PageDefinition(TaskDefinition):
    """Reading a page: a folder with a detector and a recognizer of text, and perhaps what turns lines."""

    name = NAME
    title: ClassVar[str] = "reading a page (detection and recognition of text): character error rate"
    words: ClassVar[Words] = WORDS
    options = PageOptions
    data: ClassVar[str] = FORMS
    calibration: ClassVar[str] = "a folder of pages, a label file, a glob or a .txt list"
    columns: ClassVar[Mapping[str, str]] = {"hmean": "hmean", "CER where found": "CER where found"}
    few_labels: ClassVar[int] = 2000
    takes_any_size: ClassVar[bool] = True
    differences = PageDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {"characters": KINDS, "brightness": BRIGHTNESS_BANDS}
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    @property
    def metric(self) -> Metric:
        """The character error rate of pages."""
        return PAGE_CER

    @property
    def families(self) -> tuple[str, ...]:
        """By how the detector is fed and read."""
        return (RAPIDOCR, PADDLEOCR)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """One file alone reads no page."""
        del signature, family
        return None

    def recognise_folder(
        self, signatures: Mapping[str, ModelSignature], folder: ModelFolder, family: str = AUTO
    ) -> Recognition | None:
        """By the parts' names, ``det`` and ``rec``, and what they take.

        Raises ModelError where a part does not take one image, or a file of characters cannot be read.
        """
        if not {DET, REC} <= signatures.keys() or family not in (AUTO, *self.families):
            return None
        others = signatures.keys() - {DET, CLS, REC}
        if others:
            raise ModelError(f"{folder.path} has a part {min(others)!r}; a page is read by det, cls and rec")
        images = {part: _image_of(part, signature) for part, signature in signatures.items()}
        configured = [name for name in folder.files if Path(name).name == "inference.yml"]
        name = (PADDLEOCR if configured else RAPIDOCR) if family == AUTO else family
        listed = characters_in(signatures[REC].metadata) or _characters_beside(folder)
        return Recognition(
            task=NAME,
            family=name,
            why=f"parts {', '.join(signatures)}" + (", as PaddleOCR's folders" if configured else ""),
            profile={
                "parts": {part: [image.height, image.width] for part, image in images.items()},
                "reading": {
                    key: list(v) if isinstance(v, tuple) else v for key, v in asdict(FAMILIES[name]).items()
                },
                "characters": len(listed.listed) if listed else None,
            },
            detail=Parts(listed),
        )

    def open_test(self, source: str, found: Recognition, options: PageOptions, reading: Reading) -> SampleSet:
        """Open labelled pages. Raises DataError or ImageError."""
        pages = open_pages(Path(source), reading.limit)
        samples, warnings = check_images(pages.samples, reading.skip_bad)
        normalise = Normalisation(options.normalise)
        written = [normalise(one.text) for page in samples for one in page.regions if not one.is_ignored]
        decides = f"{contents_sha256(samples)} {_characters(options, found)} {options.least_confidence}"
        return SampleSet(
            source=source,
            samples=samples,
            warnings=(*pages.warnings, *warnings),
            facts={"characters": sum(map(len, written)), "regions": len(written)},
            truth_sha256=_sha256(str([options.normalise, *(_truth(sample) for sample in samples)])),
            content_sha256=_sha256(decides),
        )

    def open_calibration(
        self, source: str, found: Recognition, options: PageOptions, reading: Reading
    ) -> SampleSet:
        """Open pages, labelled or not, in order. Raises DataError or ImageError."""
        del found, options
        is_labelled = is_label_file(Path(source))
        opened = open_pages(Path(source), reading.limit).samples if is_labelled else ()
        samples: Sequence[Any] = opened or calibration_samples(source, reading.limit)
        samples, warnings = check_images(samples, reading.skip_bad)
        return SampleSet(source, tuple(samples), warnings, content_sha256=contents_sha256(samples))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: PageOptions,
        test: SampleSet | None = None,
    ) -> PageTask:
        """The task for the parts. Raises ModelError where nothing tells the characters."""
        del test
        listed = _characters(options, found)
        if listed is None:
            raise ModelError(
                "nothing tells the recognizer's characters; give its key file, e.g. --characters keys.txt"
            )
        images = {part: _image_of(part, signature) for part, signature in signatures.items()}
        turner = _line_reader(images[CLS], images[CLS].width or _TURNED_WIDTH) if CLS in images else None
        return PageTask(
            PageReader(
                TextFinder(images[DET], FAMILIES[found.family]),
                _line_reader(images[REC], images[REC].width),
                listed,
                Normalisation(options.normalise),
                turner,
                options.least_confidence,
            )
        )

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> EditCounts:
        """What a run kept of every page."""
        return EditCounts.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test pages with the same bytes as a calibration page."""
        return shared_images(calibration.samples, test.samples)


def _image_of(part: str, signature: ModelSignature) -> ImageTensor:
    image = only_image_input(signature)
    if image is None:
        raise ModelError(f"part {part} does not take one image; a page is read by parts that do")
    return image


def _line_reader(image: ImageTensor, width: int | None) -> LineReader:
    return LineReader(image, LineInput(image.channels, image.height or _HEIGHT, width, _LEAST_WIDTH))


def _characters(options: PageOptions, found: Recognition) -> Characters | None:
    if options.characters:
        return read_characters(Path(options.characters))
    told: Characters | None = found.detail.characters if isinstance(found.detail, Parts) else None
    return told


def _characters_beside(folder: ModelFolder) -> Characters | None:
    """The characters that a file in the folder lists: the recognizer's inference.yml, or a key file."""
    for name, file in folder.files.items():
        is_keys = file.suffix == ".txt" and any(word in file.name.lower() for word in _KEY_WORDS)
        is_configuration = file.suffix in _CONFIGURATIONS and REC in name.lower()
        if is_keys or is_configuration:
            return read_characters(file)
    return None


def _truth(sample: PageSample) -> list[Any]:
    return [(one.outline.tolist(), one.text, one.is_ignored) for one in sample.regions]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
