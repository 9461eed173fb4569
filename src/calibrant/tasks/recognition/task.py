"""Text recognition bound to a model: drives it on the image of a line, reads the text, counts the edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, Task, Words, sole
from calibrant.core.types import Feeds, Session
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.media.contents import content_digest
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.images import read_image
from calibrant.tasks.media.inputs import ImageTensor
from calibrant.tasks.media.samples import CalibrationSample, array_that_fits
from calibrant.tasks.media.texts import Normalisation, edits_between
from calibrant.tasks.recognition.characters import Characters
from calibrant.tasks.recognition.comparing import differences_between
from calibrant.tasks.recognition.ctc import best_path
from calibrant.tasks.recognition.differences import RecognitionDifferences
from calibrant.tasks.recognition.kinds import band_of, kinds_in
from calibrant.tasks.recognition.preprocess import LineInput, prepared
from calibrant.tasks.recognition.score import CER, edits_of, evidence_of, score
from calibrant.tasks.recognition.types import Line, LineSample

NAME = "recognition"
WORDS = Words("line", "lines", "character", "characters")

_LONGEST_LINE = 256
"""Characters; what :attr:`RecognitionTask.prediction_bytes` counts with."""


@dataclass(frozen=True)
class Reader:
    """How a recognizer is fed and read; ``characters`` is None where nothing told them."""

    image: ImageTensor
    input: LineInput
    characters: Characters | None
    normalise: Normalisation


class RecognitionTask(Task):
    """Implements core.tasks.Task for CTC recognizers of single lines."""

    name = NAME
    words = WORDS

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def metric(self) -> Metric:
        """The character error rate."""
        return CER

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[LineSample | CalibrationSample]
    ) -> Sequence[Feeds]:
        """The outputs of the model for each line. Raises ImageError or DataError."""
        return [sole(sessions).run(self._reader.image.feed(self._tensor(sample))) for sample in samples]

    def interpret(self, raw: Feeds, sample: LineSample | CalibrationSample) -> Line:
        """The text in one line. Raises ModelError for outputs or characters that do not fit."""
        del sample
        scores = _steps(raw)
        return best_path(scores, self._table(scores.shape[1]))

    def check(self, raw: Feeds, sample: LineSample | CalibrationSample) -> None:
        """Raise ModelError where the outputs are no scores of characters by steps, or not of so many."""
        self.interpret(raw, sample)

    def score(self, samples: Sequence[LineSample], predictions: Sequence[Line]) -> Score:
        """The character error rate, and what else is told of lines."""
        return score(samples, predictions, self._reader.normalise)

    def evidence(self, samples: Sequence[LineSample], predictions: Sequence[Line]) -> EditCounts:
        """The evidence of that score alone."""
        normalise = self._reader.normalise
        return evidence_of(samples, edits_of(samples, predictions, normalise), normalise)

    def agreement(self, reference: Sequence[Line], found: Sequence[Line]) -> float:
        """1 - edits between both models' texts by the characters of the longer one, over all lines."""
        texts = [(ours.text, theirs.text) for ours, theirs in zip(reference, found, strict=True)]
        longest = sum(max(len(ours), len(theirs)) for ours, theirs in texts)
        edits = sum(edits_between(*pair).count for pair in texts)
        return 1 - edits / longest if longest else 1.0

    def pack(self, predictions: Sequence[Line]) -> Mapping[str, NDArray[Any]]:
        """All texts in UTF-8, one after the other, with the bytes of each."""
        texts = [line.text.encode() for line in predictions]
        return {
            "text": np.frombuffer(b"".join(texts), np.uint8),
            "bytes": np.array([len(text) for text in texts], np.int64),
            "confidences": np.array([line.confidence for line in predictions], np.float64),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Line]:
        """The lines that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        text, lengths = arrays["text"].tobytes(), arrays["bytes"]
        is_whole = lengths.dtype.kind in "iu" and (lengths >= 0).all()
        if not is_whole or len(lengths) != len(arrays["confidences"]) or lengths.sum() != len(text):
            raise ValueError("texts and their lengths do not fit")
        ends = np.cumsum(lengths)
        return [
            Line(text[end - length : end].decode(), float(confidence))
            for end, length, confidence in zip(ends, lengths, arrays["confidences"], strict=True)
        ]

    def digest(self, sample: LineSample | CalibrationSample) -> bytes:
        """A hash of a sample's content."""
        return content_digest(sample)

    @property
    def prediction_bytes(self) -> int:
        """A long line."""
        return 4 * _LONGEST_LINE

    def differences(
        self, calibrator: str, samples: Sequence[LineSample], reference: Evaluated, found: Evaluated
    ) -> RecognitionDifferences:
        """Which lines and characters are read differently."""
        return differences_between(calibrator, samples, reference, found, self._reader.normalise)

    def describe(self, sample: LineSample | CalibrationSample, prediction: Line | None = None) -> Look | None:
        """Kinds of characters, the length and the brightness of a line. Raises ImageError."""
        text = sample.text if isinstance(sample, LineSample) else prediction.text if prediction else ""
        features = {("characters", kind): count for kind, count in kinds_in(text).items()}
        if text:
            features["length", band_of(len(text))] = 1
        if sample.path is None:
            return Look(features)
        looks = appearance_of(sample.path)
        return Look({**features, ("brightness", looks.band): 1}, looks.hash)

    def _tensor(self, sample: LineSample | CalibrationSample) -> NDArray[np.float32]:
        array = array_that_fits(sample, self._reader.image)
        if array is not None:
            return array
        assert sample.path is not None
        return prepared(read_image(sample.path), self._reader.input)

    def _table(self, classes: int) -> tuple[str, ...]:
        if self._reader.characters is None:
            raise ModelError(
                "the model does not tell its characters; give its key file, e.g. --characters keys.txt"
            )
        return _table(self._reader.characters, classes)


@lru_cache(8)
def _table(characters: Characters, classes: int) -> tuple[str, ...]:
    return characters.for_classes(classes)


def _steps(raw: Feeds) -> NDArray[Any]:
    """Scores (T, C) of one line, whether the model gives (1, T, C) or (T, 1, C)."""
    scores = next(iter(raw.values()))
    if len(raw) != 1 or scores.ndim != 3 or 1 not in scores.shape[:2]:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in raw.items())
        raise ModelError(f"the model gives {shapes}; a CTC recognizer gives one output (1, steps, classes)")
    return scores.reshape(-1, scores.shape[2])
