"""Speech recognition bound to a model: drives its parts on a clip, reads the text, counts the edits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.reading import read_bytes
from calibrant.core.tasks import Evaluated, Look, Task, Words
from calibrant.core.types import FloatArray, Session
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.sounds import read_sound
from calibrant.tasks.speech.differences import SpeechDifferences, differences_between
from calibrant.tasks.speech.score import Comparison, band_of, edit_counts, score
from calibrant.tasks.speech.tokens import Tokens
from calibrant.tasks.speech.types import Clip, Heard, Transcript

NAME = "speech"
WORDS = Words("clip", "clips", "word", "words")
RATE = 16_000
NO_TOKENS = (
    "nothing says what the model's tokens are; put tokens.txt or tokenizer.json beside it, or give --tokens"
)

_LONGEST_TEXT = 1024
"""Characters; what :attr:`SpeechTask.prediction_bytes` counts with."""


class Recognizer(Protocol):
    """A family's way from samples at 16 kHz to tokens."""

    def hear(self, sessions: Mapping[str, Session], values: FloatArray, follow: Heard | None = None) -> Heard:
        """Decode one clip, and lead the model along the tokens that it is to follow."""
        ...


@runtime_checkable
class SideBySide(Protocol):
    """A recognizer that decodes several clips at once, each as it would alone."""

    def hear_all(self, sessions: Mapping[str, Session], sounds: Sequence[FloatArray]) -> list[Heard]:
        """Decode the clips."""
        ...


@dataclass(frozen=True)
class Listening:
    """How a model is driven, read and compared.

    tokens: None where nothing told them. is_led: whether candidates are led along what the float model
    heard. is_labelled: whether the test clips come with what is said; else the float model's text stands.
    clips: so many are decoded side by side.
    """

    recognizer: Recognizer
    tokens: Tokens | None
    comparison: Comparison
    is_led: bool = False
    is_labelled: bool = True
    clips: int = 1


class SpeechTask(Task):
    """Implements core.tasks.Task for recognizers of speech, of one or several parts."""

    name = NAME
    words = WORDS

    def __init__(
        self,
        listening: Listening,
        parts: Sequence[str],
        kept_parts: Sequence[str] = (),
        references: Mapping[str, Transcript] | None = None,
    ) -> None:
        self._listening, self._references = listening, references or {}
        self.batch = 1 if listening.is_led else listening.clips
        self.parts, self.kept_parts = tuple(parts), tuple(kept_parts)
        self.needs_reference = listening.is_led or not listening.is_labelled

    @property
    def metric(self) -> Metric:
        """The word error rate, or that of characters."""
        return self._listening.comparison.metric

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[Clip]
    ) -> Sequence[tuple[float, Heard]]:
        """Each clip's seconds, and the tokens heard in it. Raises DataError for an unreadable clip."""
        recognizer = self._listening.recognizer
        if len(samples) < 2 or self._listening.is_led or not isinstance(recognizer, SideBySide):
            return [self._hear(sessions, clip) for clip in samples]
        sounds = [read_sound(clip.path, RATE) for clip in samples]
        heard = recognizer.hear_all(sessions, [sound.values for sound in sounds])
        return [(sound.seconds, each) for sound, each in zip(sounds, heard, strict=True)]

    def _hear(self, sessions: Mapping[str, Session], clip: Clip) -> tuple[float, Heard]:
        sound = read_sound(clip.path, RATE)
        known = self._references.get(clip.id) if self._listening.is_led else None
        follow = known.heard if known else None
        return sound.seconds, self._listening.recognizer.hear(sessions, sound.values, follow)

    def interpret(self, raw: tuple[float, Heard], sample: Clip) -> Transcript:
        """The text of one clip. Raises ModelError where nothing says what the tokens are."""
        del sample
        seconds, heard = raw
        if self._listening.tokens is None:
            raise ModelError(NO_TOKENS)
        return Transcript(self._listening.tokens.text(heard.tokens), seconds, heard)

    def check(self, raw: tuple[float, Heard], sample: Clip) -> None:
        """Raise ModelError where tokens are heard that the vocabulary does not have."""
        self.interpret(raw, sample)
        tokens, beyond = self._listening.tokens, max(raw[1].tokens, default=0)
        if tokens is not None and beyond >= len(tokens):
            raise ModelError(
                f"the model tells token {beyond}, and its vocabulary ends at {len(tokens) - 1}; "
                "give its own file as --tokens"
            )

    def referring_to(self, samples: Sequence[Clip], predictions: Sequence[Transcript]) -> SpeechTask:
        """The same, knowing what the float model heard."""
        known = {clip.id: found for clip, found in zip(samples, predictions, strict=True)}
        return SpeechTask(self._listening, self.parts, self.kept_parts, known)

    def _said(self, clip: Clip) -> str:
        """What is right: the label, or else what the float model heard."""
        if clip.text is not None:
            return clip.text
        return self._references[clip.id].text if clip.id in self._references else ""

    def score(self, samples: Sequence[Clip], predictions: Sequence[Transcript]) -> Score:
        """The error rate, and what else is told of clips."""
        return score(samples, predictions, self._said, self._listening.comparison)

    def evidence(self, samples: Sequence[Clip], predictions: Sequence[Transcript]) -> EditCounts:
        """The evidence of that score alone."""
        how = self._listening.comparison
        edits = [how.edits(self._said(c), found.text) for c, found in zip(samples, predictions, strict=True)]
        return edit_counts(samples, edits, self._said, how)

    def agreement(self, reference: Sequence[Transcript], found: Sequence[Transcript]) -> float:
        """1 - edits between both models' texts by the words of the longer one, over all clips."""
        how = self._listening.comparison
        pairs = [(ours.text, theirs.text) for ours, theirs in zip(reference, found, strict=True)]
        longest = sum(max(len(how.units(ours)), len(how.units(theirs))) for ours, theirs in pairs)
        return 1 - sum(how.edits(*pair).count for pair in pairs) / longest if longest else 1.0

    def pack(self, predictions: Sequence[Transcript]) -> Mapping[str, NDArray[Any]]:
        """All texts in UTF-8 and all tokens, each one after the other, with the count of each."""
        texts = [found.text.encode() for found in predictions]
        heard = [found.heard for found in predictions]
        return {
            "text": np.frombuffer(b"".join(texts), np.uint8),
            "bytes": np.array([len(text) for text in texts], np.int64),
            "tokens": np.array([token for each in heard for token in each.tokens], np.int64),
            "counts": np.array([len(each.tokens) for each in heard], np.int64),
            "ends": np.array([[each.is_runaway, each.followed, each.steps] for each in heard], np.int64),
            "seconds_of": np.array([found.seconds for found in predictions], np.float64),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Transcript]:
        """What :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        text, sizes = arrays["text"].tobytes(), arrays["bytes"]
        tokens, counts = arrays["tokens"], arrays["counts"]
        if sizes.sum() != len(text) or counts.sum() != len(tokens):
            raise ValueError("texts, tokens and their lengths do not fit")
        parts = zip(
            np.cumsum(sizes),
            sizes,
            np.cumsum(counts),
            counts,
            arrays["ends"],
            arrays["seconds_of"],
            strict=True,
        )
        return [
            Transcript(
                text[end - size : end].decode(),
                float(seconds),
                Heard(tuple(tokens[stop - count : stop].tolist()), bool(ends[0]), int(ends[1]), int(ends[2])),
            )
            for end, size, stop, count, ends, seconds in parts
        ]

    def digest(self, sample: Clip) -> bytes:
        """A hash of the file's content."""
        return clip_digest(sample)

    @property
    def prediction_bytes(self) -> int:
        """A long text with its tokens."""
        return 12 * _LONGEST_TEXT

    def differences(
        self, calibrator: str, samples: Sequence[Clip], reference: Evaluated, found: Evaluated
    ) -> SpeechDifferences:
        """Which clips are heard differently."""
        said = [self._said(clip) for clip in samples]
        return differences_between(calibrator, samples, said, reference, found, self._listening.comparison)

    def describe(self, sample: Clip, prediction: Transcript | None = None) -> Look:
        """A clip's length, how loud it is, and how much is said a second."""
        sound = read_sound(sample.path)
        level = 10 * float(np.log10(np.mean(sound.values.astype(np.float64) ** 2) + 1e-12))
        text = prediction.text if prediction is not None else sample.text or ""
        words = len(self._listening.comparison.units(text)) / max(sound.seconds, 0.1)
        return Look(
            {
                ("length", band_of(sound.seconds)): 1,
                ("level", LEVELS[sum(level > end for end in (-45, -35, -25, -15))]): 1,
                ("pace", PACES[sum(words > end for end in (0, 1.5, 3))]): 1,
            }
        )


LEVELS = ("below -45 dB", "-45 to -35 dB", "-35 to -25 dB", "-25 to -15 dB", "over -15 dB")
PACES = ("nothing said", "up to 1.5 a second", "1.5 to 3 a second", "over 3 a second")


def clip_digest(clip: Clip) -> bytes:
    """A SHA-256 of a clip's file; one that cannot be read counts as empty."""
    try:
        content = read_bytes(clip.path)
    except OSError:
        content = b""
    return hashlib.sha256(content).digest()
