"""A comparison of runs on the terminal: a matrix of mAP and latency, then what is real and what moved."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrant.studies.compare import SCALE_TOLERANCE, Cell, Change, Comparison, MovedScales

_SHOWN_SCALES = 3


def print_comparison(found: Comparison, console: Console) -> None:
    """Print the matrix, the differences and the scales that moved."""
    console.print(
        f"[bold]{escape(found.model)}[/bold], {found.images} test images, against {_label(found, 0)}"
    )
    console.print(_matrix(found))
    for change in found.changes:
        console.print(escape(_told(change, found)))
    for scales in found.scales:
        console.print(escape(_scales_told(scales, found)))


def _matrix(found: Comparison) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("mAP50-95", no_wrap=True)
    for index in range(len(found.runs)):
        table.add_column(_label(found, index), justify="right")
    for name, cells in found.cells.items():
        table.add_row(escape(name), *(_shown(cell) for cell in cells))
    return table


def _label(found: Comparison, index: int) -> str:
    return escape(f"[{chr(ord('A') + index)}] {found.runtimes[index]}")


def _letter(found: Comparison, run: str) -> str:
    return chr(ord("A") + found.runs.index(run))


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.stopped_after is not None:
        return f"beaten after {cell.stopped_after} images"
    if cell.map50_95 is None:
        return "failed"
    interval = f" ({cell.interval[0]:.1f} to {cell.interval[1]:.1f})" if cell.interval else ""
    device = f", {cell.device_median_ms:.2f} on the device" if cell.device_median_ms is not None else ""
    latency = f"\n{cell.median_ms:.2f} ms{device}" if cell.median_ms is not None else ""
    return f"{cell.map50_95:.2f}{interval}{latency}"


def _told(change: Change, found: Comparison) -> str:
    where = f"{change.name}, A to {_letter(found, change.run)}"
    if change.drop is None:
        return f"{where}: no mAP: {change.failure}"
    moved = f"{where}: {_gain(change.drop)} points"
    if change.interval is None:
        return f"{moved} (no evidence was kept, so nothing says whether that is real)"
    shows = round(change.drop, 2) != 0
    verdict = "real" if change.is_real and shows else "not to be told from chance"
    return f"{moved}, {verdict} (95 % interval {_gain(change.interval[1])} to {_gain(change.interval[0])})"


def _gain(drop: float) -> str:
    """A drop as what was gained, with its sign and without a negative zero."""
    return f"{round(-drop, 2) + 0.0:+.2f}"


def _scales_told(scales: MovedScales, found: Comparison) -> str:
    where = f"{scales.name}, A to {_letter(found, scales.run)}"
    if not scales.moved:
        return f"{where}: all {scales.compared} scales agree within {SCALE_TOLERANCE:.1%}"
    largest = ", ".join(f"{c.tensor} {c.relative:+.1%}" for c in scales.moved[:_SHOWN_SCALES])
    return f"{where}: {len(scales.moved)} of {scales.compared} scales moved, most: {largest}"
