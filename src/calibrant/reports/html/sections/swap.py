"""The swap test as a waterfall: from the losing candidate's mAP to the winner's, tensor by tensor."""

from __future__ import annotations

from typing import Any

from calibrant.core.metrics import MINIMIZE, Metric, loss
from calibrant.reports.html.blocks import Cell, Column, Paragraph, Plot, Section, Table
from calibrant.reports.html.sections.roles import LOSING, WINNING
from calibrant.reports.material import Material
from calibrant.reports.words import figure, format_change, interval, percent, short, shown
from calibrant.studies.diagnosis.result import SwapTest


def swap(material: Material) -> Section | None:
    """None without a swap test, and where no tensor was swapped."""
    test = material.diagnosis.swap if material.diagnosis else None
    if test is None or not test.steps:
        return None
    metric = material.metric
    how = (
        f"One tensor after the other of `{test.losing}` is given `{test.winning}`'s range, and "
        f"{metric.words} is "
        f"measured over {test.samples} test samples; first comes the tensor whose range in `{test.losing}`, "
        f"put alone into `{test.winning}`, takes most of its agreement with FP32."
    )
    return Section(
        "swap",
        "Swap test",
        (Paragraph(test.sentence), _plot(test, material.metric), Paragraph(how, is_note=True)),
    )


def _plot(test: SwapTest, metric: Metric) -> Plot:
    return Plot(
        "waterfall",
        {"bars": _bars(test, metric), "label": f"{metric.column} ({metric.unit})"},
        alt="; ".join(f"{step.tensor} brings {metric.amount(step.gained)}" for step in test.steps),
        table=_table(test, metric),
    )


def _bars(test: SwapTest, metric: Metric) -> list[dict[str, Any]]:
    """Bars from top to bottom: the losing candidate, what each tensor brings, what is left, the winner."""
    # Upwards is better: what is gained is added, whichever way the metric counts.
    sign = -1 if metric.direction == MINIMIZE else 1
    values = [step.value or 0.0 for step in test.steps]
    start = values[0] - sign * test.steps[0].gained
    end = values[-1] + sign * test.steps[-1].loss.value
    bars = [_total(test.losing, LOSING, start, metric)]
    for step, value in zip(test.steps, values, strict=True):
        before = value - sign * step.gained
        bars.append(_bar(short(step.tensor, 30), before, value, step.tensor, metric))
    if abs(end - values[-1]) >= 0.5 * 10.0**-metric.decimals:
        bars.append(_bar("all other tensors", values[-1], end, "what is left of the gap", metric))
    return [*bars, _total(test.winning, WINNING, end, metric)]


def _total(name: str, role: str, value: float, metric: Metric) -> dict[str, Any]:
    tip = f"{name}: {shown(value, metric)}"
    return {"name": name, "from": value, "to": value, "kind": role, "text": shown(value, metric), "tip": tip}


def _bar(name: str, before: float, after: float, tip: str, metric: Metric) -> dict[str, Any]:
    kind = "gain" if loss(before, after, metric) <= 0 else "loss"
    text = format_change(after - before, metric)
    return {"name": name, "from": before, "to": after, "kind": kind, "text": text, "tip": f"{tip}: {text}"}


def _table(test: SwapTest, metric: Metric) -> Table:
    columns = (
        Column("tensor", "name"),
        Column("read by", "name"),
        *(
            Column(title, "number")
            for title in (f"{test.losing}", f"{test.winning}", "clipped", metric.column)
        ),
        *(Column(title, "number") for title in ("gained", "left", "95 % interval", "explained")),
    )
    return Table("Every step", columns, tuple(_step_cells(test, metric)))


def _step_cells(test: SwapTest, metric: Metric) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(step.tensor),
            Cell(", ".join(step.readers)),
            Cell(figure(step.losing), step.losing),
            Cell(figure(step.winning), step.winning),
            Cell(percent(step.clipped, 2), step.clipped),
            Cell(shown(step.value, metric), step.value),
            Cell(format_change(step.gained, metric), step.gained),
            Cell(shown(step.loss.value, metric), step.loss.value),
            Cell(interval(step.loss.low, step.loss.high, metric), step.loss.low),
            Cell(percent(step.explained, 0), step.explained),
        )
        for step in test.steps
    ]
