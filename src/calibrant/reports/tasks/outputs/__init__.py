"""What a report shows of models without a task: what each output and each sample loses."""

from __future__ import annotations

from collections.abc import Sequence

from calibrant.reports.html.blocks import Block, Cell, Column, Paragraph, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import winner_first
from calibrant.tasks.outputs.differences import OutputsDifferences


def outputs(material: Material) -> Section | None:
    """None without a diagnosis."""
    found: list[OutputsDifferences] = winner_first(
        material.diagnosis.differences if material.diagnosis else (), material
    )
    if not found:
        return None
    blocks: list[Block] = [Paragraph(f"Under {each.calibrator}, {each.sentence()}.") for each in found]
    return Section("outputs", "Outputs", (*blocks, _outputs(found), _samples(found)))


def _outputs(found: Sequence[OutputsDifferences]) -> Table:
    numbers = ("Error, %", "SQNR, dB", "Worst error, %", "Same top-1, %")
    columns = (
        Column("Candidate"),
        Column("Output", "name"),
        Column("Worst sample", "name"),
        *(Column(title, "number") for title in numbers),
    )
    rows = tuple(
        (
            Cell(each.calibrator),
            Cell(output.name),
            Cell(output.worst_sample),
            *map(_number, (output.error, output.sqnr, output.worst_error, output.same_top1)),
        )
        for each in found
        for output in each.outputs
    )
    return Table("How far each output is from the float model's", columns, rows, is_open=True)


def _samples(found: Sequence[OutputsDifferences]) -> Table:
    columns = (Column("Candidate"), Column("Sample", "name"), Column("Error, %", "number"))
    rows = tuple(
        (Cell(each.calibrator), Cell(sample.sample), _number(sample.error))
        for each in found
        for sample in each.worst_samples
    )
    return Table("The samples that differ most", columns, rows)


def _number(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.2f}", value)


SECTIONS = (outputs,)
