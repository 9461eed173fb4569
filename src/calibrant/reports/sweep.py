"""A sweep on the terminal, and as Markdown: a line for each run, and one for each calibrator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibrant.reports.markdown import coded, plain
from calibrant.reports.material import REPORT
from calibrant.reports.sweep_words import sweep_headline, sweep_verdict, telling_axes
from calibrant.reports.tables import plain_table
from calibrant.reports.words import NOTHING, interval, shown
from calibrant.studies.sweep.result import Row, SweepResult


def print_sweep(result: SweepResult, console: Console) -> None:
    """Print the runs, what failed, what they say together, and where the files are."""
    console.print(_runs(result.rows))
    for row in result.failed:
        console.print(Text(f"{row.run} failed: ", style="red").append(row.reason or "", style="default"))
    console.print(Text(f"{sweep_headline(result)}.", style="bold green"))
    for sentence in sweep_verdict(result):
        console.print(Text(sentence.replace("`", "")))
    console.print(Text(f"Folders of the runs, sweep.json, sweep.md and {REPORT}: {result.out}"))


def print_plan(rows: Sequence[Row], console: Console) -> None:
    """Print what a sweep would run, and what is there already."""
    table = _table("", "run", "model", "data set", "scheme", "runtime")
    for row in rows:
        state = "done" if row.recommended else "to do"
        table.add_row(*map(Text, (state, row.run, row.model, row.dataset, row.scheme, row.runtime)))
    console.print(table)
    to_do = sum(row.recommended is None for row in rows)
    console.print(Text(f"{to_do} of {len(rows)} runs are to do."))


def sweep_markdown(result: SweepResult) -> str:
    """The table of runs in GitHub's Markdown; names from files are escaped."""
    return "\n".join(_markdown_lines(result)) + "\n"


def _runs(rows: Sequence[Row]) -> Table:
    axes = telling_axes(rows)
    table = _table(*axes)
    for title in ("FP32", "INT8", "lost", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("use", no_wrap=True)
    for row in rows:
        where = [Text(getattr(row, axis)) for axis in axes.values()]
        table.add_row(*where, *_figures(row), Text(row.recommended or row.status))
    return table


def _figures(row: Row) -> tuple[str, str, str, str]:
    chosen, metric = row.chosen, row.metric
    if metric is None:
        return "", "", "", ""
    full = metric.text(row.fp32)
    if chosen is None or chosen.loss is None:
        return full, "", "", ""
    return full, metric.text(chosen.value), metric.text(chosen.loss.value), chosen.loss.interval(metric)


def _table(*titles: str) -> Table:
    table = plain_table()
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _markdown_lines(result: SweepResult) -> Iterator[str]:
    yield f"### {plain(result.source)}: {plain(sweep_headline(result))}"
    yield ""
    for sentence in sweep_verdict(result):
        yield from (coded(sentence), "")
    yield "| model | data set | scheme | runtime | FP32 | use | INT8 | lost | 95 % interval |"
    yield "|---|---|---|---|---:|---|---:|---:|---:|"
    for row in result.rows:
        yield f"| {' | '.join(_markdown_cells(row))} |"
    yield ""
    yield "| calibrator | runs | recommended | tied | median lost | most lost |"
    yield "|---|---:|---:|---:|---:|---:|"
    for summary in result.calibrators:
        counts = f"{summary.runs} | {summary.recommended} | {summary.tied}"
        losses = " | ".join(shown(v, summary.metric) for v in (summary.median_loss, summary.worst_loss))
        yield f"| {plain(summary.calibrator)} | {counts} | {losses} |"
    for row in result.failed:
        yield from ("", f"- {plain(row.run)} failed: {plain(row.reason or '')}")


def _markdown_cells(row: Row) -> tuple[str, ...]:
    metric = row.metric
    where = tuple(map(plain, (row.model, row.dataset, row.scheme, row.runtime)))
    used = plain(row.recommended or row.status)
    if metric is None:
        return (*where, NOTHING, used, NOTHING, NOTHING, NOTHING)
    chosen, lost = row.chosen, row.chosen.loss if row.chosen else None
    return (
        *where,
        shown(row.fp32, metric),
        used,
        shown(chosen.value if chosen else None, metric),
        shown(lost.value if lost else None, metric),
        interval(lost.low, lost.high, metric) if lost else NOTHING,
    )
