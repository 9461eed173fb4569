"""The parts of a model of several: what each costs, and all of them together."""

from __future__ import annotations

from calibrant.reports.html.blocks import Cell, Column, Paragraph, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.parts import TITLES, part_rows, parts_in_words


def parts(material: Material) -> Section | None:
    """A row for each part; None for a model that is one file."""
    study = material.study
    if not study.parts:
        return None
    names = [part for part in study.parts if part.folder]
    table = Table(
        f"Parts ({study.metric.unit})" if study.metric.unit else "Parts",
        tuple(Column(title, "text" if at in (0, 3) else "number") for at, title in enumerate(TITLES)),
        tuple(tuple(Cell(text) for text in row) for row in part_rows(study)),
    )
    words = parts_in_words(study)
    own = (
        "Each part has a study of its own: "
        + ", ".join(f"`{part.folder}/report.html`" for part in names)
        + "."
    )
    return Section("parts", "Parts", (*((Paragraph(words),) if words else ()), table, Paragraph(own)))
