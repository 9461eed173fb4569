"""Sentences to be spoken, and what was spoken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sentence:
    """One sentence as the numbers of its phonemes (or letters) for a voice, and its text, to be shown."""

    id: str
    phonemes: tuple[int, ...]
    text: str = ""


@dataclass(frozen=True, eq=False)
class Spoken:
    """A prediction: the sound, 16-bit, and what listeners are expected to say of it, 1 to 5.

    distance: from the float model's sound, of mel logarithms along the best path, nepers; nan: not compared.
    lengthened: how much longer it is, a share.
    """

    sound: NDArray[np.int16]
    rate: int
    overall: float
    signal: float
    background: float
    distance: float = float("nan")
    lengthened: float = float("nan")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.sound) / self.rate
