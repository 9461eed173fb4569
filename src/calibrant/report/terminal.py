"""A study on the terminal: the ranking as a table, then the recommendation in a sentence."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from calibrant.stages.recommend import Drop
from calibrant.studies.result import StudyResult, Trial

_BAR_WIDTH = 20
_PLAIN_WIDTH = 120


def console_for(stream_is_terminal: bool, *, stderr: bool = False) -> Console:
    """A console that is plain and wide enough for the table when nobody watches."""
    return Console(stderr=stderr, width=None if stream_is_terminal else _PLAIN_WIDTH, highlight=False)


def print_study(result: StudyResult, console: Console) -> None:
    """Print the ranking, the recommendation and where the files are."""
    console.print(_headline(result))
    console.print(ranking_table(result, console))
    for trial in result.ranking:
        if trial.reason:
            console.print(f"[red]{escape(trial.calibrator)} failed:[/red] {escape(trial.reason)}")
    console.print(_verdict(result))
    console.print(f"Files and study.json: {escape(result.out)}")


def ranking_table(result: StudyResult, console: Console) -> Table:
    """The float model first, then every candidate by mAP with its drop, interval and a bar."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=1)
    table.add_column("calibrator", no_wrap=True)
    for title in ("mAP50-95", "mAP50", "drop", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", width=_BAR_WIDTH, no_wrap=True)
    baseline = result.baseline.accuracy
    full = baseline.map50_95
    table.add_row("", "FP32", f"{full:.1f}", _figure(baseline.map50), "", "", _bar(1.0, console))
    for trial in result.ranking:
        table.add_row(*_row(result, trial, full, console))
    return table


def _row(result: StudyResult, trial: Trial, full: float, console: Console) -> list[str | Text]:
    if trial.accuracy is None:
        return ["", escape(trial.calibrator), "failed", "", "", "", ""]
    recommended = result.recommended is not None and result.recommended.calibrator == trial.calibrator
    share = trial.accuracy.map50_95 / full if full else 0.0
    return [
        Text("*" if recommended else "", style="bold green"),
        Text(trial.calibrator, style="bold green" if recommended else ""),
        f"{trial.accuracy.map50_95:.1f}",
        _figure(trial.accuracy.map50),
        f"{trial.drop.points:.1f}" if trial.drop else "",
        _interval(trial.drop),
        f"same as {trial.same_as}" if trial.same_as else _bar(share, console),
    ]


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
        f" Choosing on one half of the images and measuring on the other loses {chosen.held_out_drop:.1f}."
    )
    return text.append(held_out, style="dim")


def _interval(drop: Drop | None) -> str:
    return f"{drop.low:.1f} to {drop.high:.1f}" if drop else ""


def _figure(points: float | None) -> str:
    return "" if points is None else f"{points:.1f}"


def _bar(share: float, console: Console) -> str:
    """A bar of the share of the float model's mAP, in characters the terminal can show."""
    filled = round(_BAR_WIDTH * min(max(share, 0.0), 1.0))
    return ("#" if console.options.ascii_only else "█") * filled
