"""A sweep as one HTML page: what the runs say together, then each of them."""

from __future__ import annotations

from collections.abc import Sequence

from calibrant.core.metrics import Metric
from calibrant.reports.html.blocks import Cell, Column, Paragraph, Section, Table
from calibrant.reports.html.page import Figure, Page, page_html
from calibrant.reports.sweep_words import sweep_headline, sweep_verdict, telling_axes
from calibrant.reports.words import NOTHING, listed, shown
from calibrant.studies.sweep.result import SWEEP, CalibratorSummary, Row, SweepResult

_FACTS = {"models": "model", "data": "dataset", "schemes": "scheme", "runtimes": "runtime"}


def sweep_html(result: SweepResult) -> str:
    """The page."""
    done = [row for row in result.rows if row.status == "ok"]
    return page_html(
        Page(
            kind=f"sweep of {result.created[:10]}",
            heading=result.source,
            facts=tuple(f"{title}: {_values(result, field)}" for title, field in _FACTS.items()),
            headline=sweep_headline(result),
            figures=(
                Figure("runs", str(len(result.rows)), f"{len(done)} finished, {len(result.failed)} failed"),
                *(
                    Figure(f"use {summary.calibrator}", str(summary.recommended), f"of {len(done)} runs")
                    for summary in _winners(result)[:3]
                ),
            ),
            verdict=sweep_verdict(result),
            sections=tuple(_sections(result)),
            folder=result.out,
            closing=f"Every figure stands in that folder, in {SWEEP} and in the study.json of each run.",
        )
    )


def _values(result: SweepResult, field: str) -> str:
    """What stands on an axis, or how many."""
    return listed(list(dict.fromkeys(getattr(row, field) for row in result.rows)))


def _winners(result: SweepResult) -> list[CalibratorSummary]:
    """Most often recommended first."""
    winners = [summary for summary in result.calibrators if summary.recommended]
    return sorted(winners, key=lambda summary: -summary.recommended)


def _sections(result: SweepResult) -> list[Section]:
    sections = [
        Section("runs", "Runs", (_runs_table(result.rows),)),
        Section("calibrators", "Calibrators", (_summary_table(result.calibrators),)),
        Section("drops", "Lost", (_drops_table(result),)),
    ]
    if result.failed:
        reasons = tuple(Paragraph(f"`{row.run}`: {row.reason}") for row in result.failed)
        sections.insert(1, Section("failed", "Failed", reasons))
    return sections


def _runs_table(rows: Sequence[Row]) -> Table:
    numbers = ("FP32", "INT8", "lost", "from", "to")
    axes = telling_axes(rows)
    columns = (
        *map(Column, axes),
        Column("use"),
        *(Column(title, "number") for title in numbers),
        Column("tied with it"),
    )
    cells = tuple(_run_cells(row, tuple(axes.values())) for row in rows)
    return Table("What to deploy", columns, cells, is_open=True)


def _run_cells(row: Row, axes: Sequence[str]) -> tuple[Cell, ...]:
    chosen = row.chosen
    lost = chosen.loss if chosen else None
    value = chosen.value if chosen else None
    losses = (lost.value, lost.low, lost.high) if lost else (None, None, None)
    return (
        *_axis_cells(row, axes),
        Cell(row.recommended or row.status),
        *(_number(figure, row.metric) for figure in (row.fp32, value, *losses)),
        Cell(", ".join(row.tied)),
    )


def _summary_table(summaries: Sequence[CalibratorSummary]) -> Table:
    numbers = ("runs", "recommended", "tied", "stopped early", "failed", "median lost", "most lost")
    columns = (Column("calibrator"), *(Column(title, "number") for title in numbers), Column("in", "name"))
    rows = tuple(
        (
            Cell(summary.calibrator),
            *(
                Cell(str(count), count)
                for count in (
                    summary.runs,
                    summary.recommended,
                    summary.tied,
                    summary.stopped,
                    summary.failed,
                )
            ),
            _number(summary.median_loss, summary.metric),
            _number(summary.worst_loss, summary.metric),
            Cell(summary.worst_run or ""),
        )
        for summary in summaries
    )
    return Table("Each calibrator over all runs", columns, rows, is_open=True)


def _drops_table(result: SweepResult) -> Table:
    names = list(dict.fromkeys(summary.calibrator for summary in result.calibrators))
    axes = telling_axes(result.rows)
    columns = (*map(Column, axes), *(Column(name, "number") for name in names))
    rows = tuple(
        (
            *_axis_cells(row, tuple(axes.values())),
            *(_number(_lost(row, name), row.metric) for name in names),
        )
        for row in result.rows
    )
    return Table(
        "Lost by each calibrator; of one stopped early, on the samples that it has seen", columns, rows
    )


def _axis_cells(row: Row, axes: Sequence[str]) -> tuple[Cell, ...]:
    return tuple(Cell(getattr(row, axis)) for axis in axes)


def _lost(row: Row, calibrator: str) -> float | None:
    found = row.of(calibrator)
    return found.loss.value if found and found.loss else None


def _number(value: float | None, metric: Metric | None) -> Cell:
    return Cell(NOTHING if value is None or metric is None else shown(value, metric), value)
