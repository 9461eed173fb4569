"""A coverage study on the terminal: a verdict for each of its three questions, and the figures behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrant.core.metrics import Metric
from calibrant.reports.tables import plain_table
from calibrant.studies.coverage.representation import REPRESENTS
from calibrant.studies.coverage.result import (
    Contents,
    CoverageResult,
    Learning,
    OrderSpread,
    Representation,
    Selection,
    SimilarPair,
)
from calibrant.studies.coverage.selection import reason_of
from calibrant.tasks.registry import presented

_SHOWN_TENSORS, _SHOWN_PAIRS, _SHOWN_SAMPLES, _SHOWN_NAMES = 5, 3, 5, 12
_TENSOR_WIDTH = 48


def print_coverage(result: CoverageResult, console: Console) -> None:
    """Print what was found, one question after the other."""
    words = presented(result.task).words
    sets = ", ".join(f"{found.samples} {found.role} {words.samples}" for found in result.sets)
    console.print(f"[bold]{escape(result.model.path)}[/bold] as {escape(result.model.family)}: {sets}")
    _print_representation(result.representation, result.contents, console)
    if result.learning:
        _print_learning(result.learning, result.order, result.metric, console)
    _print_samples(result, console)
    files = f" and {result.selection.list_file}" if result.selection else ""
    console.print(f"\ncoverage.json{files}: {escape(result.out)}")


# --- does it represent? ----------------------------------------------------------------------------


def _print_representation(found: Representation | None, contents: Contents | None, console: Console) -> None:
    _head("Does it represent?", console)
    if found is None:
        console.print("Give --data or --pool to compare with.")
        return
    style = "green" if found.verdict == REPRESENTS else "red"
    console.print(f"Against the {found.compared_with} set: [bold {style}]{found.verdict}[/bold {style}].")
    for reason in found.reasons:
        console.print(f"- {escape(reason)}")
    console.print(_tensor_table(found))
    console.print(
        f"[dim]By chance {found.expected_outside:.1%} of the samples exceed one end of a range; noise is the "
        "distance between random halves of the calibration set.[/dim]"
    )
    if contents:
        for line in _absent(contents):
            console.print(escape(line))


def _tensor_table(found: Representation) -> Table:
    table = _table("tensor", "samples outside", "by up to", "distance", "noise", "finding")
    for tensor in found.tensors[:_SHOWN_TENSORS]:
        table.add_row(
            escape(_shortened(tensor.tensor)),
            f"{tensor.samples_outside:.1%}",
            f"{tensor.excess:.1%}",
            f"{tensor.distance:.3f}",
            f"{tensor.noise:.3f}",
            ", ".join(tensor.findings) or "-",
        )
    return table


def _absent(contents: Contents) -> Iterator[str]:
    """A line for each kind of feature that the calibration samples lack."""
    for kind in dict.fromkeys(feature.kind for feature in contents.features):
        names = [f.name for f in contents.features if f.kind == kind and f.is_absent]
        of = sum(f.kind == kind and f.compared_samples > 0 for f in contents.features)
        if names:
            yield f"{kind.capitalize()} absent, {len(names)} of {of}: {_listed(names, _SHOWN_NAMES)}"


# --- how many are enough? --------------------------------------------------------------------------


def _print_learning(
    learning: Learning, order: Sequence[OrderSpread], metric: Metric, console: Console
) -> None:
    _head("How many are enough?", console)
    console.print(_spread_table(learning))
    console.print(
        "[dim]How far the thresholds of random subsets scatter (standard deviation of the median tensor); "
        f"enough: below {learning.tolerance:.0%} from there on, up to half of the set.[/dim]"
    )
    if learning.measured:
        console.print(_score_table(learning, metric))
        unmeasured = learning.planned - learning.measured
        console.print(
            f"[dim]{metric.words} of subsets of a size, lowest to highest; enough: within "
            f"{metric.amount(learning.score_tolerance)} of all samples."
            f"{f' {unmeasured} more candidates did not fit into --budget.' if unmeasured else ''}[/dim]"
        )
    console.print("\nThe same samples in another order:")
    console.print(_order_table(order, metric))


def _spread_table(learning: Learning) -> Table:
    sizes = learning.sizes[:-1]  # of all samples there is but one subset
    table = _table("thresholds", *map(str, sizes), "enough")
    by_key = {(spread.calibrator, spread.samples): spread for spread in learning.spreads}
    for result in learning.enough:
        cells = [f"{by_key[result.calibrator, size].median:.1%}" for size in sizes]
        table.add_row(escape(result.calibrator), *cells, _or_more(result.by_threshold, learning))
    return table


def _score_table(learning: Learning, metric: Metric) -> Table:
    table = _table(metric.column, *map(str, learning.sizes), "enough")
    by_key = {(spread.calibrator, spread.samples): spread for spread in learning.spreads}
    for result in learning.enough:
        spreads = [by_key[result.calibrator, size] for size in learning.sizes]
        cells = [_interval(spread.map_low, spread.map_high, metric) for spread in spreads]
        is_measured = all(spread.map_count for spread in spreads)
        verdict = _or_more(result.by_map, learning) if is_measured else ""
        table.add_row(escape(result.calibrator), *cells, verdict)
    return table


def _order_table(order: Sequence[OrderSpread], metric: Metric) -> Table:
    table = _table("calibrator", "median", "95 % of tensors", "most", metric.words, "tensor moved most")
    for spread in order:
        points = [found.value for found in spread.scores]
        table.add_row(
            escape(spread.calibrator),
            f"{spread.median:.1%}",
            f"{spread.p95:.1%}",
            f"{spread.largest:.1%}",
            _interval(min(points, default=None), max(points, default=None), metric),
            escape(_shortened(spread.largest_tensor)) if spread.largest else "",
        )
    return table


def _interval(low: float | None, high: float | None, metric: Metric) -> str:
    if low is None or high is None:
        return ""
    first, last = metric.text(low), metric.text(high)
    return first if first == last else f"{first}-{last}"


def _or_more(samples: int | None, learning: Learning) -> str:
    return f"{samples}" if samples is not None else f"> {learning.sizes[-2]}"


# --- which samples? ---------------------------------------------------------------------------------


def _print_samples(result: CoverageResult, console: Console) -> None:
    _head("Which samples?", console)
    _print_pairs("duplicates inside the calibration set", result.duplicates, console)
    _print_pairs("leaks between calibration and test set", result.leaks, console)
    if result.selection:
        _print_selection(result.selection, result.metric, console)


def _print_pairs(what: str, pairs: Sequence[SimilarPair], console: Console) -> None:
    if not pairs:
        console.print(f"No {what}.")
        return
    console.print(f"[red]{len(pairs)} {what}:[/red]")
    for pair in pairs[:_SHOWN_PAIRS]:
        console.print(
            f"  {escape(pair.first)} and {escape(pair.second)} ({pair.kind}, {pair.bits} of 128 bits differ)"
        )
    if len(pairs) > _SHOWN_PAIRS:
        console.print(f"  and {len(pairs) - _SHOWN_PAIRS} more, in coverage.json")


def _print_selection(selection: Selection, metric: Metric, console: Console) -> None:
    console.print(
        f"{len(selection.chosen)} of {selection.pool_samples} samples cover all {selection.wanted} range "
        "ends "
        "and features that occur in them:"
    )
    for sample in selection.chosen[:_SHOWN_SAMPLES]:
        console.print(f"  {escape(sample.path)}: {escape(reason_of(sample))}")
    if len(selection.chosen) > _SHOWN_SAMPLES:
        console.print(f"  and {len(selection.chosen) - _SHOWN_SAMPLES} more, in {selection.list_file}")
    table = _table(
        "thresholds against all", "median change", "95 % of tensors", metric.words, f"{metric.words} of all"
    )
    for check in selection.checks:
        table.add_row(
            escape(check.calibrator),
            f"{check.median_change:.1%}",
            f"{check.p95_change:.1%}",
            _interval(check.value, check.value, metric),
            _interval(check.pool_value, check.pool_value, metric),
        )
    console.print(table)


# --- shared ----------------------------------------------------------------------------------------


def _head(title: str, console: Console) -> None:
    console.print(f"\n[bold]{title}[/bold]")


def _table(first: str, *others: str) -> Table:
    table = plain_table()
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _shortened(name: str) -> str:
    return name if len(name) <= _TENSOR_WIDTH else f"...{name[-_TENSOR_WIDTH + 3 :]}"


def _listed(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
