"""Reading a page bound to its parts: what one gives is cut, turned and given to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, Task, Words
from calibrant.core.types import Feeds, Session
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.media.contents import content_digest
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.images import image_size, read_image
from calibrant.tasks.media.inputs import ImageTensor
from calibrant.tasks.media.pages import PageSample
from calibrant.tasks.media.samples import CalibrationSample
from calibrant.tasks.media.texts import Normalisation
from calibrant.tasks.page.comparing import agreement, differences_between
from calibrant.tasks.page.differences import PageDifferences
from calibrant.tasks.page.lines import cut_out, in_reading_order
from calibrant.tasks.page.score import PAGE_CER, edits_of, evidence_of, score
from calibrant.tasks.page.types import PageText
from calibrant.tasks.recognition.characters import Characters
from calibrant.tasks.recognition.ctc import best_path
from calibrant.tasks.recognition.kinds import kinds_in
from calibrant.tasks.recognition.preprocess import LineInput
from calibrant.tasks.recognition.preprocess import prepared as prepared_line
from calibrant.tasks.recognition.types import Line
from calibrant.tasks.text_detection.outlines import outlines_in
from calibrant.tasks.text_detection.profile import prepared
from calibrant.tasks.text_detection.task import TextFinder
from calibrant.tasks.text_detection.types import Outlines, no_outlines

NAME = "page"
WORDS = Words("page", "pages", "character", "characters")
DET, CLS, REC = "det", "cls", "rec"

_UPSIDE_DOWN = 1  # the class of the turning part
_LEAST_SURE = 0.9  # below it lines stay as they are (PaddleOCR's cls_thresh)
_LONG_PAGE = 4000
"""Characters; what :attr:`PageTask.prediction_bytes` counts with."""


@dataclass(frozen=True)
class LineReader:
    """How a part is fed with lines."""

    image: ImageTensor
    input: LineInput

    def feeds(self, line: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """What it is fed for the image of one line."""
        return self.image.feed(prepared_line(line, self.input))


@dataclass(frozen=True)
class PageReader:
    """How the parts are fed and read; ``turner`` is None where no part tells how lines are turned.

    least_confidence: lines that are read less surely are left out (RapidOCR's text_score).
    """

    finder: TextFinder
    reader: LineReader
    characters: Characters
    normalise: Normalisation
    turner: LineReader | None = None
    least_confidence: float = 0.5


class PageTask(Task):
    """Implements core.tasks.Task for a detector and a recognizer of text."""

    name = NAME
    words = WORDS

    def __init__(self, page: PageReader) -> None:
        self._page = page
        self.parts = (DET, CLS, REC) if page.turner else (DET, REC)
        self.kept_parts = self.parts

    @property
    def metric(self) -> Metric:
        """The character error rate of pages."""
        return PAGE_CER

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[PageSample | CalibrationSample]
    ) -> Sequence[PageText]:
        """What is read on each page. Raises ImageError, DataError or ModelError."""
        return [self._read(sessions, sample) for sample in samples]

    def interpret(self, raw: PageText, sample: PageSample | CalibrationSample) -> PageText:
        """It is read already: the parts need each other's results."""
        del sample
        return raw

    def score(self, samples: Sequence[PageSample], predictions: Sequence[PageText]) -> Score:
        """The character error rate, and whose fault it is."""
        return score(samples, predictions, self._page.normalise)

    def evidence(self, samples: Sequence[PageSample], predictions: Sequence[PageText]) -> EditCounts:
        """The evidence of that score alone."""
        both = zip(samples, predictions, strict=True)
        return evidence_of([edits_of(page, text, self._page.normalise) for page, text in both])

    def agreement(self, reference: Sequence[PageText], found: Sequence[PageText]) -> float:
        """How far two models read the same lines in the same places."""
        return agreement(reference, found)

    def pack(self, predictions: Sequence[PageText]) -> Mapping[str, NDArray[Any]]:
        """All lines of all pages in UTF-8, one after the other, with their outlines."""
        lines = [line for page in predictions for line in page.lines]
        texts = [line.text.encode() for line in lines]
        corners = [page.outlines.corners for page in predictions]
        scores = [page.outlines.scores for page in predictions]
        return {
            "lines": np.array([len(page.lines) for page in predictions], np.int64),
            "corners": np.concatenate([np.zeros((0, 4, 2), np.float32), *corners]),
            "scores": np.concatenate([np.zeros(0), *scores]),
            "text": np.frombuffer(b"".join(texts), np.uint8),
            "bytes": np.array([len(text) for text in texts], np.int64),
            "confidences": np.array([line.confidence for line in lines], np.float64),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[PageText]:
        """The pages that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        text, counts, lengths = arrays["text"].tobytes(), arrays["lines"], arrays["bytes"]
        corners, scores, confidences = (arrays[name] for name in ("corners", "scores", "confidences"))
        sizes = {len(corners), len(scores), len(lengths), len(confidences), int(counts.sum())}
        if len(sizes) > 1 or lengths.sum() != len(text) or corners.shape[1:] != (4, 2):
            raise ValueError("pages and their lines do not fit")
        ends = np.cumsum(lengths)
        lines = [
            Line(text[end - length : end].decode(), float(confidence))
            for end, length, confidence in zip(ends, lengths, confidences, strict=True)
        ]
        spans = [slice(end - count, end) for end, count in zip(np.cumsum(counts), counts, strict=True)]
        return [PageText(Outlines(corners[span], scores[span]), tuple(lines[span])) for span in spans]

    def digest(self, sample: PageSample | CalibrationSample) -> bytes:
        """A hash of a page's content."""
        return content_digest(sample)

    def memory(self, sample: PageSample | CalibrationSample) -> int:
        """Of the page prepared for the detector, and its map."""
        if sample.path is None:
            return 0
        height, width = self._page.finder.sides(*image_size(sample.path)[::-1])
        return height * width * (3 * 8 + 3 * 4 + 4)

    @property
    def prediction_bytes(self) -> int:
        """Of a long page."""
        return 4 * _LONG_PAGE

    def differences(
        self, calibrator: str, samples: Sequence[PageSample], reference: Evaluated, found: Evaluated
    ) -> PageDifferences:
        """Which lines are lost, new or read otherwise."""
        return differences_between(calibrator, samples, reference, found)

    def describe(
        self, sample: PageSample | CalibrationSample, prediction: PageText | None = None
    ) -> Look | None:
        """Kinds of characters and the brightness of a page. Raises ImageError."""
        if isinstance(sample, PageSample):
            text = "".join(region.text for region in sample.regions if not region.is_ignored)
        else:
            text = "".join(line.text for line in prediction.lines) if prediction else ""
        features = {("characters", kind): count for kind, count in kinds_in(text).items()}
        if sample.path is None:
            return Look(features)
        looks = appearance_of(sample.path)
        return Look({**features, ("brightness", looks.band): 1}, looks.hash)

    def _read(self, sessions: Mapping[str, Session], sample: PageSample | CalibrationSample) -> PageText:
        if sample.path is None:
            raise DataError(f"sample '{sample.id}' is an array; pages are read from images: give their files")
        image, page = read_image(sample.path), self._page
        sides = page.finder.sides(*image.shape[:2])
        raw = sessions[DET].run(page.finder.image.feed(prepared(image, page.finder.reading, sides)))
        found = in_reading_order(outlines_in(_map_in(raw), page.finder.reading, image.shape[:2]))
        lines = [self._line(sessions, cut_out(image, corners)) for corners in found.corners]
        kept = [index for index, line in enumerate(lines) if line.confidence >= page.least_confidence]
        if not kept:
            return PageText(no_outlines(), ())
        return PageText(
            Outlines(found.corners[kept], found.scores[kept]), tuple(lines[index] for index in kept)
        )

    def _line(self, sessions: Mapping[str, Session], image: NDArray[np.uint8]) -> Line:
        page = self._page
        if page.turner is not None:
            turns = next(iter(sessions[CLS].run(page.turner.feeds(image)).values())).reshape(-1)
            if int(turns.argmax()) == _UPSIDE_DOWN and turns[_UPSIDE_DOWN] > _LEAST_SURE:
                image = np.asarray(cv2.rotate(image, cv2.ROTATE_180), np.uint8)
        scores = next(iter(sessions[REC].run(page.reader.feeds(image)).values()))
        if scores.ndim != 3:
            raise ModelError(f"the recognizer gives {scores.shape}; it has to give (1, steps, classes)")
        steps = scores.reshape(-1, scores.shape[2])
        return best_path(steps, _table(page.characters, steps.shape[1]))


@lru_cache(8)
def _table(characters: Characters, classes: int) -> tuple[str, ...]:
    return characters.for_classes(classes)


def _map_in(raw: Feeds) -> NDArray[Any]:
    scores = next(iter(raw.values()))
    if scores.ndim != 4 or scores.shape[:2] != (1, 1):
        raise ModelError(f"the detector gives {scores.shape}; it has to give (1, 1, height, width)")
    found: NDArray[Any] = scores[0, 0]
    return found
