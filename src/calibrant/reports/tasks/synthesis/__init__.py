"""What a report shows of voices: the sentences that sound worst, to listen to."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import Block, Paragraph, PlayedSound, Section, Sounds
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import differences_in
from calibrant.tasks.synthesis.differences import SynthesisDifferences


def sounds(material: Material) -> Section | None:
    """Both voices' sounds of the sentences that lose most; None without a diagnosis."""
    blocks: list[Block] = []
    for each in _found(material):
        blocks.append(Paragraph(f"Under {each.calibrator}, {each.sentence()}."))
        played = tuple(
            PlayedSound(
                sentence.sentence,
                f"{sentence.text} ({sentence.reference_mark:.2f} -> {sentence.candidate_mark:.2f})",
                f"data:audio/wav;base64,{sentence.reference}",
                f"data:audio/wav;base64,{sentence.candidate}",
            )
            for sentence in each.worst
        )
        blocks.append(Sounds(each.calibrator, played))
    return Section("sounds", "Sounds that lose most", tuple(blocks)) if blocks else None


def difference_lines(found: SynthesisDifferences) -> Iterator[str]:
    """How a candidate's voice differs from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    worst = (
        f"{each.sentence} {each.reference_mark:.2f} -> {each.candidate_mark:.2f}" for each in found.worst
    )
    yield f"worst: {', '.join(worst) or 'none'}"


def _found(material: Material) -> list[SynthesisDifferences]:
    return differences_in(material)


SECTIONS = (sounds,)
