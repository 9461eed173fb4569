"""A comparison of runs on the terminal: a matrix of scores and latency, then what is real and what moved."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrant.core.metrics import Metric
from calibrant.reports.tables import plain_table
from calibrant.studies.compare import SCALE_TOLERANCE, Cell, Change, Comparison, MovedScales
from calibrant.tasks.registry import presented

_SHOWN_SCALES = 3


def print_comparison(found: Comparison, console: Console) -> None:
    """Print the matrix, the differences and the scales that moved."""
    words = presented(found.task).words
    console.print(
        f"[bold]{escape(found.model)}[/bold], {found.samples} test {words.samples}, against "
        f"{_label(found, 0)}"
    )
    console.print(_matrix(found))
    for change in found.changes:
        console.print(escape(_told(change, found)))
    for scales in found.scales:
        console.print(escape(_scales_told(scales, found)))


def _matrix(found: Comparison) -> Table:
    table = plain_table()
    table.add_column(found.metric.column, no_wrap=True)
    for index in range(len(found.runs)):
        table.add_column(_label(found, index), justify="right")
    for name, cells in found.cells.items():
        table.add_row(escape(name), *(_shown(cell, found.metric) for cell in cells))
    return table


def _label(found: Comparison, index: int) -> str:
    return escape(f"[{chr(ord('A') + index)}] {found.runtimes[index]}")


def _letter(found: Comparison, run: str) -> str:
    return chr(ord("A") + found.runs.index(run))


def _shown(cell: Cell | None, metric: Metric) -> str:
    if cell is None:
        return "-"
    if cell.stopped_after is not None:
        return f"stopped after {cell.stopped_after}"
    if cell.value is None:
        return "failed"
    interval = (
        f" ({metric.text(cell.interval[0])} to {metric.text(cell.interval[1])})" if cell.interval else ""
    )
    device = f", {cell.device_median_ms:.2f} on the device" if cell.device_median_ms is not None else ""
    latency = f"\n{cell.median_ms:.2f} ms{device}" if cell.median_ms is not None else ""
    return f"{cell.value:.{metric.decimals + 1}f}{interval}{latency}"


def _told(change: Change, found: Comparison) -> str:
    where = f"{change.name}, A to {_letter(found, change.run)}"
    metric = found.metric
    if change.loss is None:
        return f"{where}: no {metric.words}: {change.failure}"
    moved = " ".join(filter(None, [f"{where}: {_gain(change.loss, metric)}", metric.unit]))
    if change.interval is None:
        return f"{moved} (no evidence was kept, so nothing says whether that is real)"
    shows = round(change.loss, metric.decimals + 1) != 0
    verdict = "real" if change.is_real and shows else "indistinguishable from chance"
    interval = " to ".join(_gain(bound, metric) for bound in reversed(change.interval))
    level = "95 %" if found.joint == 1 else f"joint 95 %, one of {found.joint},"
    return f"{moved}, {verdict} ({level} interval {interval})"


def _gain(lost: float, metric: Metric) -> str:
    """A loss as what was gained, with its sign and without a negative zero."""
    decimals = metric.decimals + 1
    return f"{round(-lost, decimals) + 0.0:+.{decimals}f}"


def _scales_told(scales: MovedScales, found: Comparison) -> str:
    where = f"{scales.name}, A to {_letter(found, scales.run)}"
    if not scales.moved:
        return f"{where}: all {scales.compared} scales agree within {SCALE_TOLERANCE:.1%}"
    largest = ", ".join(f"{c.tensor} {c.relative:+.1%}" for c in scales.moved[:_SHOWN_SCALES])
    return f"{where}: {len(scales.moved)} of {scales.compared} scales moved, most: {largest}"
