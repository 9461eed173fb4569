"""A study on the terminal: the ranking as a table, then the recommendation in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from calibrant.core.metrics import MINIMIZE, Metric
from calibrant.core.printable import printable_lines
from calibrant.reports.material import REPORT
from calibrant.reports.parts import TITLES, part_rows, parts_in_words
from calibrant.reports.tables import plain_table
from calibrant.studies.other_floats import worth_of_int8
from calibrant.studies.placements import placements_in_words
from calibrant.studies.result import OtherFloat, StudyResult, Trial

_BAR_WIDTH, _SHORTEST_BAR = 20, 8
_FIGURES_WIDTH = 45  # of all columns but the names and the bar, with the space between them
_PLAIN_WIDTH = 120


class SafeConsole(Console):
    """A console on which names from files cannot move the cursor, change colours or hide what follows."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render with escapes for whatever a terminal would obey; Rich's own controls are not text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)


def console_for(is_terminal: bool, *, stderr: bool = False, plain_width: int = _PLAIN_WIDTH) -> Console:
    """A console that is plain and wide enough for the table, ``plain_width`` columns, when nobody watches."""
    return SafeConsole(stderr=stderr, width=None if is_terminal else plain_width, highlight=False)


def print_study(result: StudyResult, console: Console) -> None:
    """Print the ranking, the recommendation, what to run next, and where the files are."""
    console.print(_headline(result))
    console.print(ranking_table(result, console))
    if result.parts:
        console.print(_parts_table(result))
        console.print(Text(parts_in_words(result)))
    for name, reason in _failures(result):
        console.print(f"[red]{escape(name)} failed:[/red] {escape(reason)}")
    if result.baseline.latency and result.baseline.latency.device_median_ms is not None:
        console.print(_latencies(result))
    console.print(_verdict(result))
    for line in _on_tensorrt(result):
        console.print(Text(line))
    for line in result.next_steps:
        console.print(Text(f"  {line}", style="yellow"))
    console.print(_deploy(result))
    if (page := Path(result.out) / REPORT).is_file():
        console.print(f"Report: {escape(str(page))}")


def _failures(result: StudyResult) -> Iterator[tuple[str, str]]:
    for trial in result.ranking:
        if trial.status == "failed" and trial.reason:
            yield trial.calibrator, trial.reason
    for other in result.other_floats:
        if other.reason:
            yield other.name.upper(), other.reason


def _on_tensorrt(result: StudyResult) -> Iterator[str]:
    for words in (placements_in_words(result), worth_of_int8(result)):
        if words:
            yield f"{words[:1].upper()}{words[1:]}."


def _parts_table(result: StudyResult) -> Table:
    table = plain_table()
    for position, title in enumerate(TITLES):
        table.add_column(title, justify="left" if position in (0, 3) else "right", no_wrap=True)
    for row in part_rows(result):
        table.add_row(*map(escape, row))
    return table


def ranking_table(result: StudyResult, console: Console) -> Table:
    """The float model first, then every distinct candidate, best first; with a bar if it fits."""
    table = plain_table()
    table.add_column("", width=1)
    table.add_column("calibrator", no_wrap=True)
    for title in (result.metric.column, *result.definition.columns.values(), "lost", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    bar_width = _bar_width(result, console)
    if bar_width:
        table.add_column("", width=bar_width, no_wrap=True)
    for row in _rows(result, bar_width, "#" if console.options.ascii_only else "█"):
        table.add_row(*row[: len(table.columns)])
    return table


def _rows(result: StudyResult, bar_width: int, mark: str) -> Iterator[list[str | Text]]:
    metric, baseline = result.metric, result.baseline
    columns = tuple(result.definition.columns)
    figures = [_figure(baseline.figures.get(name), metric) for name in columns]
    yield ["", "FP32", metric.text(baseline.score.value), *figures, "", "", mark * bar_width]
    for other in result.other_floats:
        yield _float_row(other, result)
    for trial in result.ranking:
        if not trial.same_as:
            yield _row(result, trial, mark * _filled(trial, result, bar_width))


def _float_row(other: OtherFloat, result: StudyResult) -> list[str | Text]:
    metric = result.metric
    figures = [_figure(other.figures.get(name), metric) for name in result.definition.columns]
    score = metric.text(other.score.value) if other.score else "failed"
    lost = (metric.text(other.loss.value), other.loss.interval(metric)) if other.loss else ("", "")
    return ["", other.name.upper(), score, *figures, *lost, ""]


def _row(result: StudyResult, trial: Trial, bar: str) -> list[str | Text]:
    metric, name = result.metric, result.name_with_twins(trial)
    empty = [""] * len(result.definition.columns)
    if trial.status == "failed":
        return ["", Text(name), "failed", *empty, "", "", ""]
    if trial.status == "stopped":
        after = f"after {result.definition.words.counted(trial.samples or 0)}"
        return ["", Text(name, style="dim"), "worse", *empty, *_lost(trial, metric), after]
    chosen = result.recommended.calibrator if result.recommended else None
    is_chosen = chosen in {trial.calibrator, *result.twins(trial)}
    return [
        Text("*" if is_chosen else "", style="bold green"),
        Text(name, style="bold green" if is_chosen else ""),
        metric.text(trial.score.value if trial.score else None),
        *(_figure(trial.figures.get(column), metric) for column in result.definition.columns),
        *_lost(trial, metric),
        bar,
    ]


def _lost(trial: Trial, metric: Metric) -> tuple[str, str]:
    return (metric.text(trial.loss.value), trial.loss.interval(metric)) if trial.loss else ("", "")


def _latencies(result: StudyResult) -> Text:
    """Median latency of every model, where a device did the computing."""
    measured = [
        ("FP32", result.baseline.latency),
        *((other.name.upper(), other.latency) for other in result.other_floats),
        *((t.calibrator, t.latency) for t in result.ranking),
    ]
    parts = (
        f"{name} {latency.median_ms:.2f} ({latency.device_median_ms:.2f})"
        for name, latency in measured
        if latency and latency.device_median_ms is not None
    )
    return Text(f"Latency, ms (of it on the device): {', '.join(parts)}", style="dim")


def _headline(result: StudyResult) -> str:
    data, model, words = result.data, result.model, result.definition.words
    labels = data.facts.get(words.labels)
    labelled = "" if labels is None else f" ({labels} {words.label if labels == 1 else words.labels})"
    return (
        f"[bold]{escape(model.path)}[/bold] as {escape(model.family)}: "
        f"{model.quantized_nodes} layers in INT8, {data.calibration_samples} calibration {words.samples}, "
        f"{data.test_samples} test {words.samples}{labelled}, {escape(str(result.settings['runtime']))}"
    )


def _verdict(result: StudyResult) -> Text:
    chosen = result.recommended
    if chosen is None:
        why = result.unrecommended
        return Text(
            f"Nothing to recommend: {why}." if why else "No candidate could be measured.", style="bold red"
        )
    text = Text("Use ").append(chosen.calibrator, style="bold green").append(f": {chosen.reason}.")
    if chosen.held_out_loss is None:
        return text
    held_out = (
        f" Choosing on one half of the {result.definition.words.samples} and measuring on the other "
        f"{result.metric.change(chosen.held_out_loss)}."
    )
    return text.append(held_out, style="dim")


def _deploy(result: StudyResult) -> str:
    """The file to deploy with its form, where one is recommended; and where all files are."""
    trial = result.trial(result.recommended.calibrator) if result.recommended else None
    if trial is None or trial.files is None:
        return f"Files and study.json: {escape(result.out)}"
    folder = Path(result.out)
    if result.parts:
        return (
            f"Deploy the models in {escape(str(folder / trial.files.qdq))} (ONNX with Q/DQ); all files and "
            f"study.json: {escape(result.out)}"
        )
    forms = [f"{folder / trial.files.qdq} (ONNX with Q/DQ)"]
    if trial.files.cache:
        forms.append(f"{folder / trial.files.cache} (TensorRT calibration cache, up to TensorRT 10)")
    return f"Deploy {escape(' or '.join(forms))}; all files and study.json: {escape(result.out)}"


def _figure(value: float | None, metric: Metric) -> str:
    return "" if value is None else metric.text(value)


def _bar_width(result: StudyResult, console: Console) -> int:
    """How long a full bar is; 0 where the terminal is too narrow for one."""
    shown = [trial for trial in result.trials if not trial.same_as]
    names = max(len("calibrator"), *(len(result.name_with_twins(trial)) for trial in shown))
    room = min(_BAR_WIDTH, console.width - names - _FIGURES_WIDTH)
    return room if room >= _SHORTEST_BAR else 0


def _filled(trial: Trial, result: StudyResult, bar_width: int) -> int:
    """How much of the bar stands: what is left of the float model's value, or of the least value there is."""
    full, value = result.baseline.score.value, trial.value
    if full is None or value is None:
        return 0
    part, whole = (full, value) if result.metric.direction == MINIMIZE else (value, full)
    return round(bar_width * min(max(part / whole if whole else 0.0, 0.0), 1.0))
