"""What a report shows of recognizers of speech: errors by length, and the clips that changed most."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import Block, Cell, Column, Paragraph, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import differences_in
from calibrant.tasks.speech.differences import SpeechDifferences

_TOLD = 3


def clips(material: Material) -> Section | None:
    """Errors by length, and what was heard in the clips that changed most; None without a diagnosis."""
    blocks: list[Block] = []
    for each in _found(material):
        blocks += [Paragraph(f"Under {each.calibrator}, {each.sentence()}."), _lengths(each), _worst(each)]
    return Section("clips", "Clips that are heard differently", tuple(blocks)) if blocks else None


def difference_lines(found: SpeechDifferences) -> Iterator[str]:
    """How a candidate hears differently from the float model, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    rates = (f"{each.name} {each.reference} -> {each.candidate} ({each.clips})" for each in found.lengths)
    yield f"errors by length: {', '.join(rates)}"
    for each in found.worst_clips[:_TOLD]:
        yield f"{each.clip}: {each.reference!r} -> {each.candidate!r}"


def _found(material: Material) -> list[SpeechDifferences]:
    return differences_in(material)


def _lengths(found: SpeechDifferences) -> Table:
    columns = (Column("Length"), *(Column(t, "number") for t in ("Clips", "FP32", f"{found.calibrator}")))
    rows = tuple(
        (Cell(each.name), Cell(str(each.clips), each.clips), _rate(each.reference), _rate(each.candidate))
        for each in found.lengths
    )
    return Table("Error rate by the clips' length, points", columns, rows, is_open=True)


def _worst(found: SpeechDifferences) -> Table:
    columns = (Column("Clip"), Column("Said"), Column("FP32"), Column(found.calibrator))
    rows = tuple(
        (
            Cell(each.clip),
            Cell(each.said),
            Cell(each.reference),
            Cell(f"{each.candidate}{' ... (cut off)' if each.is_runaway else ''}"),
        )
        for each in found.worst_clips
    )
    return Table("What was heard, worst first", columns, rows, is_open=True)


def _rate(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.1f}", value)


SECTIONS = (clips,)
