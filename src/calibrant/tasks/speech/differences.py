"""How one model hears clips differently from another: what its users will notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.core.tasks import Evaluated
from calibrant.tasks.speech.score import BANDS, Comparison, band_of
from calibrant.tasks.speech.types import Clip

MOST_CLIPS = 24


@dataclass(frozen=True)
class LengthErrors:
    """Error rates, points, of clips of one length; ``said``: their words or characters."""

    name: str
    clips: int
    said: int
    reference: float | None
    candidate: float | None


@dataclass(frozen=True)
class ClipDifference:
    """One clip that both models heard, worst first; edits are against what was said."""

    clip: str
    seconds: float
    said: str
    reference: str
    candidate: str
    reference_edits: int
    candidate_edits: int
    is_runaway: bool


@dataclass(frozen=True)
class SpeechDifferences:
    """One candidate's transcripts against the float model's; ``runaway``, ``empty``: only the former's."""

    calibrator: str
    clips: int
    changed: int
    broken: int
    fixed: int
    runaway: int
    empty: int
    lengths: tuple[LengthErrors, ...]
    worst_clips: tuple[ClipDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        if not self.changed:
            return f"all {self.clips} clips are heard as by the float model"
        told = (
            f"{self.changed} of {self.clips} clips are heard differently: {self.broken} that were right are "
            f"wrong, {self.fixed} that were wrong are right"
        )
        ends = [(self.runaway, "do not end"), (self.empty, "are left empty")]
        return "; ".join([told, *(f"{count} {words}" for count, words in ends if count)])


def differences_between(
    calibrator: str,
    clips: Sequence[Clip],
    said: Sequence[str],
    reference: Evaluated,
    found: Evaluated,
    how: Comparison,
) -> SpeechDifferences:
    """Which clips, and of which length, a candidate hears otherwise than the float model."""
    pairs = list(zip(clips, said, reference.predictions, found.predictions, strict=True))
    edits = [
        (how.edits(text, ours.text).count, how.edits(text, theirs.text).count)
        for _, text, ours, theirs in pairs
    ]
    changed = [how.units(ours.text) != how.units(theirs.text) for _, _, ours, theirs in pairs]
    worst = [
        ClipDifference(
            clip.id, round(ours.seconds, 2), text, ours.text, theirs.text, *edit, theirs.heard.is_runaway
        )
        for (clip, text, ours, theirs), edit, is_other in zip(pairs, edits, changed, strict=True)
        if is_other
    ]
    worst.sort(key=lambda clip: (clip.reference_edits - clip.candidate_edits, clip.clip))
    return SpeechDifferences(
        calibrator=calibrator,
        clips=len(pairs),
        changed=sum(changed),
        broken=sum(not ours and theirs > 0 for ours, theirs in edits),
        fixed=sum(ours > 0 and not theirs for ours, theirs in edits),
        runaway=sum(t.heard.is_runaway and not o.heard.is_runaway for _, _, o, t in pairs),
        empty=sum(not t.text and bool(o.text) for _, _, o, t in pairs),
        lengths=tuple(_lengths(pairs, edits, how)),
        worst_clips=tuple(worst[:MOST_CLIPS]),
    )


def _lengths(pairs: Sequence[tuple], edits: Sequence[tuple[int, int]], how: Comparison) -> list[LengthErrors]:  # type: ignore[type-arg]
    found = []
    for band in BANDS:
        chosen = [at for at, pair in enumerate(pairs) if band_of(pair[2].seconds) == band]
        said = sum(len(how.units(pairs[at][1])) for at in chosen)
        rates = [
            round(100 * sum(edits[at][which] for at in chosen) / said, 4) if said else None
            for which in (0, 1)
        ]
        if chosen:
            found.append(LengthErrors(band, len(chosen), said, *rates))
    return found
