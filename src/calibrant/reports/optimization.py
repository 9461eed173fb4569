"""An optimization on the terminal: the front, the chosen model against the best calibrator, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from calibrant.core.metrics import Metric
from calibrant.reports.tables import plain_table
from calibrant.studies.optimization.result import OptimizationResult, Point


def print_optimization(result: OptimizationResult, console: Console) -> None:
    """Print the front, the verdict, what each technique brings and where the files are."""
    console.print(_headline(result))
    console.print(_front(result))
    for line in _verdict(result):
        console.print(line)
    console.print(_deploy(result))


def _deploy(result: OptimizationResult) -> str:
    """The files to deploy with their forms, and where all files are."""
    folder, files = Path(result.out), result.files
    forms = [f"{folder / files.qdq} (ONNX with Q/DQ)"]
    if files.cache and files.float_model:
        forms.append(
            f"{folder / files.cache} with {folder / files.float_model} (TensorRT calibration cache and its "
            "float model, up to TensorRT 10)"
        )
    return f"Deploy {escape(' or '.join(forms))}; all files and optimization.json: {escape(result.out)}"


def _headline(result: OptimizationResult) -> str:
    return (
        f"[bold]{escape(result.model.path)}[/bold] as {escape(result.model.family)}: "
        f"{result.models_measured} models measured in {result.seconds:.0f} s; "
        f"chosen on {result.select_samples} samples, reported on {result.report_samples} others"
    )


def _front(result: OptimizationResult) -> Table:
    table = plain_table()
    table.add_column("", width=1)
    table.add_column("model", overflow="fold")
    for title in ("INT8", result.metric.column, "lost", "95 % interval", "ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row(
        "", "FP32", "0 %", result.metric.text(result.float_report.value), "", "", _ms(result.float_latency_ms)
    )
    single = [] if result.best_single in result.front else [result.best_single]
    for point in (*result.front, *single):
        is_chosen = point == result.chosen
        style = "bold green" if is_chosen else ""
        table.add_row(
            "*" if is_chosen else "", Text(point.name, style=style), *_figures(point, result.metric)
        )
    return table


def _figures(point: Point, metric: Metric) -> Iterator[str]:
    part = point.report
    assert part is not None
    yield f"{100 * point.int8_share:.1f} %"
    yield metric.text(part.value)
    yield metric.text(part.loss.value)
    yield part.loss.interval(metric)
    yield _ms(point.latency_ms)


def _verdict(result: OptimizationResult) -> Iterator[Text]:
    part, metric = result.chosen.report, result.metric
    assert part is not None
    target = f"at most {result.max_loss:g}"
    held = f"keeps the target of {target}" if result.is_met else f"misses the target of {target}"
    name = str(result.chosen.recipe["calibrator"]) if result.is_single else "the optimized model"
    yield (
        Text("Use ")
        .append(name, style="bold green")
        .append(
            f": it {metric.change(part.loss.value)} of {metric.words} (95 % interval of the loss "
            f"{part.loss.interval(metric)}) and {held}."
        )
    )
    yield Text(result.gain_in_words)
    yield Text(f"Recipe: {result.chosen.explanation}.")
    for brought in result.ablation:
        yield Text(
            f"  without {brought.technique}: {metric.text(brought.value)} {metric.words}; it brings "
            f"{metric.text(brought.gain.value)} ({brought.gain.interval(metric)})",
            style="dim",
        )
    if result.was_interrupted:
        yield Text("The search was interrupted; the same command goes on from here.", style="yellow")


def _ms(latency: float | None) -> str:
    return "" if latency is None else f"{latency:.1f}"
