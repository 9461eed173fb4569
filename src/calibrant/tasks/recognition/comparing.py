"""Two models' readings of the same lines, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from calibrant.core.tasks import Evaluated
from calibrant.tasks.media.texts import Normalisation, edits_between
from calibrant.tasks.recognition.differences import (
    Confusion,
    GroupErrors,
    LineDifference,
    RecognitionDifferences,
)
from calibrant.tasks.recognition.kinds import BANDS, KINDS, band_of, kind_of
from calibrant.tasks.recognition.types import LineSample

MOST_LINES, MOST_CONFUSIONS = 24, 12

_Row = tuple[LineSample, str, str, str]  # with what is written, and what either model read, normalised


def differences_between(
    calibrator: str,
    samples: Sequence[LineSample],
    reference: Evaluated,
    found: Evaluated,
    normalise: Normalisation,
) -> RecognitionDifferences:
    """Which lines, and which kinds of characters, a candidate reads otherwise than the float model."""
    rows = [
        (sample, normalise(sample.text), normalise(ours.text), normalise(theirs.text))
        for sample, ours, theirs in zip(samples, reference.predictions, found.predictions, strict=True)
    ]
    right = [(written == ours, written == theirs) for _, written, ours, theirs in rows]
    return RecognitionDifferences(
        calibrator=calibrator,
        lines=len(rows),
        reference_exact=sum(ours for ours, _ in right),
        candidate_exact=sum(theirs for _, theirs in right),
        changed=sum(ours != theirs for _, _, ours, theirs in rows),
        broken=right.count((True, False)),
        fixed=right.count((False, True)),
        groups=_groups(rows),
        confusions=_confusions(rows),
        worst_lines=_worst(rows),
    )


def _groups(rows: Sequence[_Row]) -> tuple[GroupErrors, ...]:
    written: Counter[tuple[str, str]] = Counter()
    errors: tuple[Counter[tuple[str, str]], ...] = (Counter(), Counter())
    for _, text, *both in rows:
        length = ("length", band_of(len(text)))
        written[length] += len(text)
        written.update(("characters", kind_of(character)) for character in text)
        for counted, read in zip(errors, both, strict=True):
            counted[length] += edits_between(text, read).count
            counted.update(("characters", kind_of(gone or come)) for gone, come in _pairs(text, read))
    names = [("characters", kind) for kind in KINDS] + [("length", band) for band in BANDS]
    return tuple(
        GroupErrors(
            *name, written[name], *(round(100 * counted[name] / written[name], 4) for counted in errors)
        )
        for name in names
        if written[name]
    )


def _confusions(rows: Sequence[_Row]) -> tuple[Confusion, ...]:
    before = Counter(pair for _, written, ours, _ in rows for pair in _pairs(written, ours))
    after = Counter(pair for _, written, _, theirs in rows for pair in _pairs(written, theirs))
    more = sorted(after, key=lambda pair: (before[pair] - after[pair], pair))
    return tuple(
        Confusion(*pair, before[pair], after[pair])
        for pair in more[:MOST_CONFUSIONS]
        if after[pair] > before[pair]
    )


def _worst(rows: Sequence[_Row]) -> tuple[LineDifference, ...]:
    lines = [
        LineDifference(
            sample.id,
            str(sample.path),
            written,
            ours,
            theirs,
            edits_between(written, ours).count,
            edits_between(written, theirs).count,
        )
        for sample, written, ours, theirs in rows
        if ours != theirs
    ]
    lines.sort(key=lambda line: (line.reference_edits - line.candidate_edits, line.line))
    return tuple(lines[:MOST_LINES])


def _pairs(written: str, read: str) -> Iterator[tuple[str, str]]:
    """Each edit as (written character, read character); empty where there is none."""
    if written == read:
        return
    from rapidfuzz.distance import Levenshtein

    for edit in Levenshtein.editops(written, read):
        yield (
            "" if edit.tag == "insert" else written[edit.src_pos],
            "" if edit.tag == "delete" else read[edit.dest_pos],
        )
