"""A study on the terminal: the ranking as a table, then the recommendation in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from calibrant.core.printable import printable
from calibrant.reports.material import REPORT
from calibrant.stages.recommend import shown
from calibrant.studies.result import StudyResult, Trial

_BAR_WIDTH, _SHORTEST_BAR = 20, 8
_FIGURES_WIDTH = 45  # of all columns but the names and the bar, with the space between them
_PLAIN_WIDTH = 120


class SafeConsole(Console):
    """A console on which names from files cannot move the cursor, change colours or hide what follows."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render with escapes for whatever a terminal would obey; Rich's own controls are not text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_safe(segment.text), segment.style)


def console_for(stream_is_terminal: bool, *, stderr: bool = False) -> Console:
    """A console that is plain and wide enough for the table when nobody watches."""
    return SafeConsole(stderr=stderr, width=None if stream_is_terminal else _PLAIN_WIDTH, highlight=False)


def print_study(result: StudyResult, console: Console) -> None:
    """Print the ranking, the recommendation and where the files are."""
    console.print(_headline(result))
    console.print(ranking_table(result, console))
    for trial in result.ranking:
        if trial.status == "failed" and trial.reason:
            console.print(f"[red]{escape(trial.calibrator)} failed:[/red] {escape(trial.reason)}")
    if result.baseline.latency and result.baseline.latency.device_median_ms is not None:
        console.print(_latencies(result))
    console.print(_verdict(result))
    console.print(f"Files and study.json: {escape(result.out)}")
    if (page := Path(result.out) / REPORT).is_file():
        console.print(f"Report: {escape(str(page))}")


def ranking_table(result: StudyResult, console: Console) -> Table:
    """The float model first, then every candidate by mAP with its drop, interval and, if it fits, a bar."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=1)
    table.add_column("calibrator", no_wrap=True)
    for title in ("mAP50-95", "mAP50", "drop", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    bar_width = _bar_width(result, console)
    if bar_width:
        table.add_column("", width=bar_width, no_wrap=True)
    for row in _rows(result, bar_width, "#" if console.options.ascii_only else "█"):
        table.add_row(*row[: len(table.columns)])
    return table


def _safe(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _rows(result: StudyResult, bar_width: int, mark: str) -> Iterator[list[str | Text]]:
    baseline = result.baseline.accuracy
    full = baseline.map50_95
    yield ["", "FP32", shown(full), _figure(baseline.map50), "", "", mark * bar_width]
    for trial in result.ranking:
        yield _row(result, trial, mark * _filled(trial, full, bar_width))


def _row(result: StudyResult, trial: Trial, bar: str) -> list[str | Text]:
    if trial.accuracy is None:
        return ["", Text(trial.calibrator), "failed", "", "", "", ""]
    if trial.status == "stopped":
        return ["", Text(trial.calibrator, style="dim"), "beaten", "", *_drop(trial), _after(trial)]
    recommended = result.recommended is not None and result.recommended.calibrator == trial.calibrator
    return [
        Text("*" if recommended else "", style="bold green"),
        Text(trial.calibrator, style="bold green" if recommended else ""),
        shown(trial.accuracy.map50_95),
        _figure(trial.accuracy.map50),
        *_drop(trial),
        f"same as {trial.same_as}" if trial.same_as else bar,
    ]


def _drop(trial: Trial) -> tuple[str, str]:
    return (shown(trial.drop.points), str(trial.drop)) if trial.drop else ("", "")


def _after(trial: Trial) -> str:
    return f"same as {trial.same_as}" if trial.same_as else f"after {trial.images} images"


def _latencies(result: StudyResult) -> Text:
    """Median latency of every model, where a device did the computing."""
    measured = [("FP32", result.baseline.latency), *((t.calibrator, t.latency) for t in result.ranking)]
    parts = (
        f"{name} {latency.median_ms:.2f} ({latency.device_median_ms:.2f})"
        for name, latency in measured
        if latency and latency.device_median_ms is not None
    )
    return Text(f"Latency, ms (of it on the device): {', '.join(parts)}", style="dim")


def _headline(result: StudyResult) -> str:
    data, model = result.data, result.model
    return (
        f"[bold]{escape(model.path)}[/bold] as {escape(model.family)}: "
        f"{model.quantized_nodes} layers in INT8, {data.calibration_images} calibration images, "
        f"{data.test_images} test images ({data.test_boxes} boxes), {escape(str(result.settings['runtime']))}"
    )


def _verdict(result: StudyResult) -> Text:
    chosen = result.recommended
    if chosen is None:
        return Text("No candidate could be measured.", style="bold red")
    text = Text("Use ").append(chosen.calibrator, style="bold green").append(f": {chosen.reason}.")
    held_out = (
        " Choosing on one half of the images and measuring on the other loses "
        f"{shown(chosen.held_out_drop)} points."
    )
    return text.append(held_out, style="dim")


def _figure(points: float | None) -> str:
    return "" if points is None else shown(points)


def _bar_width(result: StudyResult, console: Console) -> int:
    """How long a full bar is; 0 where the terminal is too narrow for one."""
    names = max(len("calibrator"), *(len(trial.calibrator) for trial in result.trials))
    room = min(_BAR_WIDTH, console.width - names - _FIGURES_WIDTH)
    return room if room >= _SHORTEST_BAR else 0


def _filled(trial: Trial, full: float, bar_width: int) -> int:
    """How much of the bar stands for the share of the float model's mAP."""
    share = trial.accuracy.map50_95 / full if trial.accuracy and full else 0.0
    return round(bar_width * min(max(share, 0.0), 1.0))
