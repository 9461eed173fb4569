"""Speech synthesis bound to a voice: has it speak, and has what was spoken judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Task, Words
from calibrant.core.types import FloatArray, Session
from calibrant.tasks.media.sounds import Sound, resampled
from calibrant.tasks.synthesis.differences import SynthesisDifferences, differences_between
from calibrant.tasks.synthesis.judging import RATE, mel_distance, opinions
from calibrant.tasks.synthesis.score import DNSMOS, score
from calibrant.tasks.synthesis.types import Sentence, Spoken
from calibrant.tasks.synthesis.voices import ACOUSTIC, Pace, TwoParts, Vits

NAME = "synthesis"
WORDS = Words("sentence", "sentences", "phoneme", "phonemes")
JUDGE = "judge"

_LONGEST = 15 * 22_050 * 2
_LEAST = 400  # samples: below, nothing was spoken


@dataclass(frozen=True)
class Speaking:
    """How a voice is driven: what it is told, the rate of its sound, and the file of what judges it."""

    voice: Vits | TwoParts
    pace: Pace
    rate: int
    judge: Path


class SynthesisTask(Task):
    """Implements core.tasks.Task for voices of one or two parts."""

    name = NAME
    words = WORDS
    needs_reference = True

    def __init__(
        self,
        speaking: Speaking,
        parts: Sequence[str],
        references: Mapping[str, Spoken] | None = None,
        tools: Callable[[], Mapping[str, Session]] | None = None,
    ) -> None:
        self._speaking, self._references, self._tools = speaking, references or {}, tools
        self.parts = tuple(parts)
        self.kept_parts = (ACOUSTIC,) if ACOUSTIC in self.parts else ()

    @property
    def metric(self) -> Metric:
        """The mark that listeners are expected to give."""
        return DNSMOS

    @property
    def instruments(self) -> Mapping[str, Path]:
        """What judges sounds."""
        return {JUDGE: self._speaking.judge}

    def equipped(self, tools: Callable[[], Mapping[str, Session]]) -> SynthesisTask:
        """The same task, which can judge."""
        return SynthesisTask(self._speaking, self.parts, self._references, tools)

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Sentence]) -> Sequence[FloatArray]:
        """The samples of each sentence."""
        how = self._speaking
        return [how.voice.speak(sessions, sentence.phonemes, how.pace) for sentence in samples]

    def interpret(self, raw: FloatArray, sample: Sentence) -> Spoken:
        """The sound with its marks, and how far it is from the float model's."""
        how = self._speaking
        if not np.isfinite(raw).all():
            raise ModelError(f"the voice gives numbers that are none for '{sample.id}'; check it in float")
        whole = raw.clip(-1, 1) if len(raw) >= _LEAST else np.pad(raw, (0, _LEAST - len(raw))).clip(-1, 1)
        assert self._tools is not None
        judged = whole if how.rate == RATE else resampled(Sound(whole, how.rate), RATE)
        overall, signal, background = opinions(self._tools()[JUDGE], judged)
        spoken = Spoken(np.round(whole * 32767).astype(np.int16), how.rate, overall, signal, background)
        known = self._references.get(sample.id)
        return spoken if known is None else _compared(spoken, known)

    def score(self, samples: Sequence[Sentence], predictions: Sequence[Spoken]) -> Score:
        """The mean mark, and what else is told."""
        del samples
        return score(predictions)

    def agreement(self, reference: Sequence[Spoken], found: Sequence[Spoken]) -> float:
        """exp(-d) with the mel distance d along the best path, over all sentences."""
        pairs = list(zip(reference, found, strict=True))
        return float(np.mean([np.exp(-_distance(ours, theirs)) for ours, theirs in pairs])) if pairs else 1.0

    def referring_to(self, samples: Sequence[Sentence], predictions: Sequence[Spoken]) -> SynthesisTask:
        """The same, knowing how the float model speaks."""
        known = {sentence.id: found for sentence, found in zip(samples, predictions, strict=True)}
        return SynthesisTask(self._speaking, self.parts, known, self._tools)

    def pack(self, predictions: Sequence[Spoken]) -> Mapping[str, NDArray[Any]]:
        """All sounds one after the other, with the length of each, and the marks."""
        names = ("overall", "signal", "background", "distance", "lengthened")
        sounds = [found.sound for found in predictions]
        return {
            "sound": np.concatenate(sounds) if sounds else np.zeros(0, np.int16),
            "lengths": np.array([len(sound) for sound in sounds], np.int64),
            "rates": np.array([found.rate for found in predictions], np.int64),
            "marks": np.array([[getattr(found, name) for name in names] for found in predictions]),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Spoken]:
        """What :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        sound, lengths = arrays["sound"], arrays["lengths"]
        if lengths.sum() != len(sound):
            raise ValueError("sounds and their lengths do not fit")
        ends = np.cumsum(lengths)
        parts = zip(ends, lengths, arrays["rates"], arrays["marks"].reshape(-1, 5), strict=True)
        return [
            Spoken(sound[end - length : end], int(rate), *map(float, marks))
            for end, length, rate, marks in parts
        ]

    def digest(self, sample: Sentence) -> bytes:
        """A hash of the numbers that the voice is given."""
        return hashlib.sha256(repr(sample.phonemes).encode()).digest()

    @property
    def prediction_bytes(self) -> int:
        """A long sound."""
        return _LONGEST

    def differences(
        self, calibrator: str, samples: Sequence[Sentence], reference: Evaluated, found: Evaluated
    ) -> SynthesisDifferences:
        """Which sentences sound worse, with sounds to listen to."""
        compared = [_compared(t, o) for o, t in zip(reference.predictions, found.predictions, strict=True)]
        return differences_between(calibrator, samples, reference, replace(found, predictions=compared))


def _compared(spoken: Spoken, known: Spoken) -> Spoken:
    longer = len(spoken.sound) / len(known.sound) - 1
    return replace(spoken, distance=_distance(known, spoken), lengthened=longer)


def _distance(ours: Spoken, theirs: Spoken) -> float:
    if np.array_equal(ours.sound, theirs.sound):
        return 0.0
    one, two = (found.sound.astype(np.float32) / np.float32(32768) for found in (ours, theirs))
    return mel_distance(one, two, ours.rate)
