"""A diagnosis on the terminal: the answer, the causes with their remedies, then the evidence in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrant.core.metrics import Loss, Metric
from calibrant.reports.tables import plain_table
from calibrant.reports.tasks import difference_lines
from calibrant.studies.diagnosis.result import Cause, Diagnosis, Sensitivity, SwapTest

_SHOWN_CAUSES = 6
_SHOWN_LAYERS = 8


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """Print what is known, the answer first."""
    against = found.winning if found.losing != found.winning else "FP32"
    title = f"{found.losing} against {against}"
    console.print(f"[bold]{escape(found.model)}[/bold]: {escape(title)}")
    for sentence in found.verdict:
        console.print(f"- {escape(sentence)}")
    for cause in found.causes[:_SHOWN_CAUSES]:
        for line in _told(cause, found.metric):
            console.print(line)
    for line in _commands(found.causes[:_SHOWN_CAUSES]):
        console.print(line)
    if found.swap is not None:
        console.print(_swap_table(found.swap, found.metric))
    for sensitivity in found.sensitivity:
        console.print(_layer_table(sensitivity, found.metric))
    for differences in found.differences:
        for line in difference_lines(found.task, differences):
            console.print(escape(line))
    for left in found.left_out_in_words:
        console.print(f"[dim]left out: {escape(left)}[/dim]")


def _told(cause: Cause, metric: Metric) -> Iterator[str]:
    yield f"\n[bold]{escape(cause.title)}[/bold]{escape(_price(cause, metric))}"
    yield f"  {escape(cause.text)}"
    for remedy in cause.remedies:
        yield f"  > {escape(remedy.text)}"


def _commands(causes: Sequence[Cause]) -> Iterator[str]:
    """Every remedy's command once, with what it is for."""
    purposes: dict[str, list[str]] = {}
    for cause in causes:
        for remedy in cause.remedies:
            if remedy.command:
                known = purposes.setdefault(remedy.command, [])
                known += [remedy.text] if remedy.text not in known else []
    if purposes:
        yield "\n[bold]To run[/bold]"
    for command, texts in purposes.items():
        yield f"  {escape('; '.join(texts))}:"
        yield f"    [dim]{escape(command)}[/dim]"


def _price(cause: Cause, metric: Metric) -> str:
    if cause.cost is not None:
        return f" ({metric.amount(cause.cost)})"
    return f" ({cause.loss_alone:.1%} of agreement)" if cause.loss_alone is not None else ""


def _swap_table(swap: SwapTest, metric: Metric) -> Table:
    table = _table(f"\nThe losing candidate with {swap.winning}'s ranges")
    for name in (
        "+ tensor",
        f"{swap.losing}",
        f"{swap.winning}",
        "clipped",
        metric.column,
        "gained",
        "explained",
    ):
        table.add_column(name, justify="left" if name == "+ tensor" else "right")
    for step in swap.steps:
        table.add_row(
            escape(step.tensor),
            f"{step.losing:.3g}",
            f"{step.winning:.3g}",
            f"{step.clipped:.2%}",
            metric.text(step.value),
            metric.text(step.gained),
            f"{step.explained:.0%}",
        )
    return table


def _layer_table(found: Sensitivity, metric: Metric) -> Table:
    table = _table(
        f"\nLayers of {found.calibrator} by agreement with FP32 on {found.samples} samples "
        f"(all in INT8: {found.agreement_all:.3f})"
    )
    for name in ("layer", "only it", "all but it", f"{metric.words} lost by only it", "by the rest"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for layer in found.worst[:_SHOWN_LAYERS]:
        table.add_row(
            escape(layer.node),
            f"{layer.agreement_alone:.3f}",
            "" if layer.agreement_without is None else f"{layer.agreement_without:.3f}",
            _lost(layer.lost_alone, metric),
            _lost(layer.lost_without, metric),
        )
    return table


def _lost(lost: Loss | None, metric: Metric) -> str:
    return "" if lost is None else f"{metric.text(lost.value)} ({lost.interval(metric)})"


def _table(title: str) -> Table:
    return plain_table(escape(title))
