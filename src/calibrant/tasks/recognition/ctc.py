"""From a recognizer's scores to text: CTC, greedily (Graves et al. 2006, best path decoding)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.recognition.characters import BLANK
from calibrant.tasks.recognition.types import Line


def best_path(scores: NDArray[Any], table: Sequence[str]) -> Line:
    """The text of the strongest class of every step, repeats and blanks left out.

    scores: (T, C), probabilities or anything in their order. The confidence is the mean of the strongest
    scores where a character begins, as PaddleOCR tells it; 0 for no text.
    """
    classes = scores.argmax(axis=1)
    begins = np.ones(len(classes), bool)
    begins[1:] = classes[1:] != classes[:-1]
    steps = np.flatnonzero(begins & (classes != BLANK))
    if not len(steps):
        return Line("", 0.0)
    text = "".join([table[index] for index in classes[steps]])
    return Line(text, float(scores[steps, classes[steps]].mean(dtype=np.float64)))
