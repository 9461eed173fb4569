"""How one voice speaks differently from another, with sounds to listen to."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.core.tasks import Evaluated
from calibrant.tasks.synthesis.types import Sentence, Spoken

MOST_SOUNDS = 4


@dataclass(frozen=True)
class SentenceDifference:
    """One sentence by both voices; ``reference``, ``candidate``: WAV files in base64."""

    sentence: str
    text: str
    reference_mark: float
    candidate_mark: float
    reference: str
    candidate: str


@dataclass(frozen=True)
class SynthesisDifferences:
    """One candidate's sounds against the float model's; sentences that lose most come first."""

    calibrator: str
    sentences: int
    worse: int
    distance: float
    length_change: float
    worst: tuple[SentenceDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        return (
            f"{self.worse} of {self.sentences} sentences sound worse by 0.1 or more; their mel spectra are "
            f"{self.distance:.2f} nepers apart on average, their lengths {self.length_change:.1f} %"
        )


def differences_between(
    calibrator: str, sentences: Sequence[Sentence], reference: Evaluated, found: Evaluated
) -> SynthesisDifferences:
    """Which sentences a candidate speaks worse than the float model."""
    pairs = list(zip(sentences, reference.predictions, found.predictions, strict=True))
    pairs.sort(key=lambda pair: (pair[2].overall - pair[1].overall, pair[0].id))
    return SynthesisDifferences(
        calibrator=calibrator,
        sentences=len(pairs),
        worse=sum(ours.overall - theirs.overall >= 0.1 for _, ours, theirs in pairs),
        distance=round(_mean([theirs.distance for _, _, theirs in pairs]), 4),
        length_change=round(100 * _mean([abs(theirs.lengthened) for _, _, theirs in pairs]), 4),
        worst=tuple(
            SentenceDifference(
                sentence.id,
                sentence.text,
                round(ours.overall, 3),
                round(theirs.overall, 3),
                as_wav(ours),
                as_wav(theirs),
            )
            for sentence, ours, theirs in pairs[:MOST_SOUNDS]
        ),
    )


def as_wav(spoken: Spoken) -> str:
    """A sound as a WAV file in base64."""
    data = spoken.sound.astype("<i2").tobytes()
    shape = struct.pack("<HHIIHH", 1, 1, spoken.rate, 2 * spoken.rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + shape + b"data" + struct.pack("<I", len(data)) + data
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
