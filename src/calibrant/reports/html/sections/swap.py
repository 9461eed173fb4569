"""The swap test as a waterfall: from the losing candidate's mAP to the winner's, tensor by tensor."""

from __future__ import annotations

from typing import Any

from calibrant.reports.html.blocks import Cell, Column, Paragraph, Plot, Section, Table
from calibrant.reports.html.sections.roles import LOSING, WINNING
from calibrant.reports.material import Material
from calibrant.reports.words import figure, interval, percent, points, short, signed
from calibrant.studies.diagnosis.result import SwapTest


def swap(material: Material) -> Section | None:
    """None without a swap test, and where no tensor was swapped."""
    test = material.diagnosis.swap if material.diagnosis else None
    if test is None or not test.steps:
        return None
    how = (
        f"One tensor after the other of `{test.losing}` is given `{test.winning}`'s range, and mAP is "
        f"measured over {test.images} test images; first comes the tensor whose range in `{test.losing}`, "
        f"put alone into `{test.winning}`, takes most of its agreement with FP32."
    )
    return Section("swap", "Swap test", (Paragraph(test.sentence), _plot(test), Paragraph(how, is_note=True)))


def _plot(test: SwapTest) -> Plot:
    return Plot(
        "waterfall",
        {"bars": _bars(test), "label": "mAP50-95 (points)"},
        alt="; ".join(f"{step.tensor} brings {signed(step.gained)} points" for step in test.steps),
        table=_table(test),
    )


def _bars(test: SwapTest) -> list[dict[str, Any]]:
    """Bars from top to bottom: the losing candidate, what each tensor brings, what is left, the winner."""
    first, last = test.steps[0], test.steps[-1]
    start, end = first.map50_95 - first.gained, last.map50_95 + last.drop.points
    bars = [_total(test.losing, LOSING, start)]
    for step in test.steps:
        before = step.map50_95 - step.gained
        bars.append(_bar(short(step.tensor, 30), before, step.map50_95, step.tensor))
    if abs(end - last.map50_95) >= 0.05:
        bars.append(_bar("all other tensors", last.map50_95, end, "what is left of the gap"))
    return [*bars, _total(test.winning, WINNING, end)]


def _total(name: str, role: str, value: float) -> dict[str, Any]:
    tip = f"{name}: {points(value)}"
    return {"name": name, "from": value, "to": value, "kind": role, "text": points(value), "tip": tip}


def _bar(name: str, before: float, after: float, tip: str) -> dict[str, Any]:
    kind = "gain" if after >= before else "loss"
    text = signed(after - before)
    return {"name": name, "from": before, "to": after, "kind": kind, "text": text, "tip": f"{tip}: {text}"}


def _table(test: SwapTest) -> Table:
    columns = (
        Column("tensor", "name"),
        Column("read by", "name"),
        *(Column(title, "number") for title in (f"{test.losing}", f"{test.winning}", "clipped", "mAP50-95")),
        *(Column(title, "number") for title in ("gained", "left", "95 % interval", "explained")),
    )
    return Table("Every step", columns, tuple(_step_cells(test)))


def _step_cells(test: SwapTest) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(step.tensor),
            Cell(", ".join(step.readers)),
            Cell(figure(step.losing), step.losing),
            Cell(figure(step.winning), step.winning),
            Cell(percent(step.clipped, 2), step.clipped),
            Cell(points(step.map50_95), step.map50_95),
            Cell(signed(step.gained), step.gained),
            Cell(points(step.drop.points), step.drop.points),
            Cell(interval(step.drop.low, step.drop.high), step.drop.low),
            Cell(percent(step.explained, 0), step.explained),
        )
        for step in test.steps
    ]
