"""Lines that were read against what is written there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrant.core.metrics import MINIMIZE, Figure, Metric, Score
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.texts import Edits, Normalisation, edits_between
from calibrant.tasks.recognition.types import Line, LineSample

CER = Metric("cer", "CER", direction=MINIMIZE, floor=0.9)
"""Character error rate: edits (substituted, missed, invented) by written characters, code points."""


def edits_of(samples: Sequence[LineSample], lines: Sequence[Line], normalise: Normalisation) -> list[Edits]:
    """The edits of each line, both texts normalised."""
    return [
        edits_between(normalise(sample.text), normalise(line.text))
        for sample, line in zip(samples, lines, strict=True)
    ]


def evidence_of(
    samples: Sequence[LineSample], edits: Sequence[Edits], normalise: Normalisation
) -> EditCounts:
    """The evidence that these edits are."""
    return EditCounts(
        np.array([edit.count for edit in edits], np.int64),
        np.array([len(normalise(sample.text)) for sample in samples], np.int64),
    )


def score(samples: Sequence[LineSample], lines: Sequence[Line], normalise: Normalisation) -> Score:
    """The character error rate of lines, one for each labelled sample in the same order."""
    edits = edits_of(samples, lines, normalise)
    evidence = evidence_of(samples, edits, normalise)
    value = float(evidence.resample(np.ones((1, len(samples)), np.int64))[0])
    return Score(CER, value, _figures(edits, lines, int(evidence.characters.sum())), evidence)


def _figures(edits: Sequence[Edits], lines: Sequence[Line], characters: int) -> tuple[Figure, ...]:
    exact, empty = sum(not edit.count for edit in edits), sum(not line.text for line in lines)
    return (
        Figure("exact lines", _percent(exact, len(edits)), "%"),
        Figure("empty lines", _percent(empty, len(edits)), "%"),
        Figure("substituted", _percent(sum(edit.substituted for edit in edits), characters)),
        Figure("missed", _percent(sum(edit.missed for edit in edits), characters)),
        Figure("invented", _percent(sum(edit.invented for edit in edits), characters)),
    )


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None
