"""What a report shows of text recognizers: which characters go wrong, and the lines that changed most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.reports.html.blocks import Block, Cell, Column, Heading, Paragraph, Photos, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import Budget, differences_in, with_captions
from calibrant.tasks.recognition.differences import GroupErrors, RecognitionDifferences, worst_words

_LINES, _TOLD = 12, 3


def characters(material: Material) -> Section | None:
    """Errors by kind of character and by length, and what is confused; None without a diagnosis."""
    found = _found(material)
    if not found:
        return None
    blocks: list[Block] = [Paragraph(f"Under {each.calibrator}, {each.sentence()}.") for each in found]
    return Section("characters", "Characters and lines", (*blocks, _groups(found), _confusions(found)))


def lines(material: Material) -> Section | None:
    """The lines that changed most, with what either model reads; None where none did."""
    budget = Budget()
    blocks: list[Block] = []
    for each in _found(material):
        worst = each.worst_lines[:_LINES]
        if worst:
            photos = tuple(
                with_captions(
                    line.line,
                    f"written: {line.written}",
                    line.path,
                    (line.reference, line.candidate),
                    budget,
                    480,
                )
                for line in worst
            )
            blocks += [Heading(f"{each.calibrator}, worst first"), Photos(each.calibrator, photos)]
    return Section("lines", "The lines that changed most", tuple(blocks)) if blocks else None


def difference_lines(found: RecognitionDifferences) -> Iterator[str]:
    """How a candidate's reading differs from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    kinds = [group for group in found.groups if group.kind == "characters"]
    worst = sorted(kinds, key=lambda group: (group.reference or 0) - (group.candidate or 0))[:_TOLD]
    yield "errors: " + ", ".join(
        f"{group.name} {group.reference or 0:.1f} -> {group.candidate or 0:.1f} ({group.characters})"
        for group in worst
    )
    more = [f"{worst_words(confusion)} {confusion.candidate}x" for confusion in found.confusions[:_TOLD]]
    yield f"more often: {', '.join(more) or 'nothing'}"
    yield f"lines that differ most: {', '.join(line.line for line in found.worst_lines[:_TOLD]) or 'none'}"


def _found(material: Material) -> list[RecognitionDifferences]:
    return differences_in(material)


def _groups(found: Sequence[RecognitionDifferences]) -> Table:
    columns = (
        Column("Group"),
        Column("Characters", "number"),
        Column("FP32 CER", "number"),
        *(Column(f"{each.calibrator} CER", "number") for each in found),
    )
    rows = tuple(
        (
            Cell(f"lines of {group.name}" if group.kind == "length" else group.name),
            Cell(f"{group.characters:,}", group.characters),
            _rate(group.reference),
            *(_rate(_same(each, group).candidate) for each in found),
        )
        for group in found[0].groups
    )
    return Table("Errors by kind of character and by length of the line, points", columns, rows, is_open=True)


def _same(found: RecognitionDifferences, wanted: GroupErrors) -> GroupErrors:
    return next(group for group in found.groups if (group.kind, group.name) == (wanted.kind, wanted.name))


def _rate(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.1f}", value)


def _confusions(found: Sequence[RecognitionDifferences]) -> Table:
    columns = (Column("Candidate"), Column("What"), Column("FP32", "number"), Column("Candidate's", "number"))
    rows = tuple(
        (
            Cell(each.calibrator),
            Cell(worst_words(confusion)),
            Cell(str(confusion.reference), confusion.reference),
            Cell(str(confusion.candidate), confusion.candidate),
        )
        for each in found
        for confusion in each.confusions
    )
    return Table("What it does more often than FP32, times", columns, rows, is_open=True)


SECTIONS = (characters, lines)
