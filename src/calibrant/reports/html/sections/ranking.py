"""The ranking: what every candidate loses against FP32, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrant.core.metrics import Loss, Metric
from calibrant.core.types import Latency
from calibrant.reports.html.blocks import Block, Cell, Column, Key, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, figure, interval, shown
from calibrant.studies.result import OtherFloat, Trial


def ranking(material: Material) -> Section | None:
    """The candidates, best first; the failed ones with their reason."""
    blocks: list[Block] = []
    if any(trial.loss for trial in material.measured):
        blocks.append(_plot(material))
    failures = [f"`{trial.calibrator}` failed: {trial.reason}" for trial in material.failed]
    blocks += [Paragraph(failure) for failure in failures]
    blocks += [Paragraph(_capital(line)) for line in material.study.next_steps]
    blocks += [Paragraph(f"Note: {warning}", is_note=True) for warning in material.study.warnings]
    return Section("ranking", "Ranking", tuple(blocks)) if blocks else None


def _capital(line: str) -> str:
    """A line as a sentence; a command with what it is for, set as code."""
    command, _, purpose = line.partition(": ")
    if line.startswith("calibrant ") and purpose:
        return f"`{command}`: {purpose}."
    return f"{line[:1].upper()}{line[1:]}."


def _plot(material: Material) -> Plot:
    metric = material.metric
    distinct = [trial for trial in (*material.measured, *material.stopped) if not trial.same_as]
    compared = [(trial, trial.loss) for trial in distinct if trial.loss]
    rows = [_row(trial, lost, material) for trial, lost in compared]
    return Plot(
        "ranking",
        {
            "rows": rows,
            "label": f"{metric.words} lost against FP32{_in_unit(metric)}",
            "metric": metric.words,
        },
        alt="; ".join(f"{trial.calibrator} {metric.change(lost.value)}" for trial, lost in compared),
        keys=_keys(rows, material),
        table=_table(material),
    )


def _in_unit(metric: Metric) -> str:
    return f" ({metric.unit})" if metric.unit else ""


def _row(trial: Trial, lost: Loss, material: Material) -> dict[str, Any]:
    metric = material.metric
    value = trial.score.value if trial.score else None
    return {
        "name": material.study.name_with_twins(trial),
        "drop": lost.value,
        "low": lost.low,
        "high": lost.high,
        "map": shown(value, metric) if trial.status == "ok" else "",
        "mark": _mark(trial, material),
        "tip": f"{trial.calibrator}: {metric.words} {shown(value, metric)}, it {metric.change(lost.value)} "
        f"against FP32, 95 % interval of the loss {interval(lost.low, lost.high, metric)}",
    }


def _mark(trial: Trial, material: Material) -> str:
    chosen = material.study.recommended
    if trial.status == "stopped":
        return "stopped"
    if chosen is None:
        return "worse"
    if trial.calibrator == chosen.calibrator:
        return "recommended"
    return "tied" if trial.calibrator in chosen.tied else "worse"


def _keys(rows: list[dict[str, Any]], material: Material) -> tuple[Key, ...]:
    samples = material.words.samples
    texts = {
        "recommended": "recommended",
        "tied": "indistinguishable from it on this test set",
        "worse": "significantly worse than the best" if material.recommended else "not to be recommended",
        "stopped": f"stopped early: significantly worse on fewer {samples}",
    }
    used = {row["mark"] for row in rows}
    marks = tuple(Key(mark, text) for mark, text in texts.items() if mark in used)
    return (*marks, Key("whisker", f"95 % interval, paired bootstrap over the test {samples}"))


def _table(material: Material) -> Table:
    baseline, metric, samples = material.study.baseline, material.metric, material.study.data.test_samples
    names = tuple(baseline.figures)
    heads = material.study.definition.columns
    titles = (
        metric.column,
        *(heads.get(name, name.replace("_", " ")) for name in names),
        "lost",
        "from",
        "to",
    )
    last = (_latency(baseline.latency), Cell(str(samples), samples))
    own = [
        _number(baseline.score.value, metric),
        *(_number(baseline.figures[name], metric) for name in names),
    ]
    float_row = (Cell("FP32"), *own, *[Cell(NOTHING)] * 3, *last)
    rows = tuple(
        _cells(material.study.name_with_twins(trial), trial, names, metric, samples)
        for trial in (*material.measured, *material.stopped)
        if not trial.same_as
    )
    others = tuple(_float_cells(other, names, metric, samples) for other in material.study.other_floats)
    numbers = (*titles, f"ms per {material.words.sample}", material.words.samples)
    columns = (Column("calibrator"), *(Column(title, "number") for title in numbers))
    return Table(f"All figures{_in_unit(metric)}", columns, (float_row, *others, *rows))


def _float_cells(other: OtherFloat, names: Sequence[str], metric: Metric, samples: int) -> tuple[Cell, ...]:
    lost = other.loss
    values = [other.score.value if other.score else None, *map(other.figures.get, names)]
    losses = (lost.value, lost.low, lost.high) if lost else (None,) * 3
    numbers = [_number(value, metric) for value in (*values, *losses)]
    return Cell(other.name.upper()), *numbers, _latency(other.latency), Cell(str(samples), samples)


def _cells(
    name: str, trial: Trial, names: Sequence[str], metric: Metric, all_samples: int
) -> tuple[Cell, ...]:
    lost = trial.loss
    losses = [
        _number(value, metric) for value in ((lost.value, lost.low, lost.high) if lost else (None,) * 3)
    ]
    figures = [_number(trial.figures.get(name), metric) for name in names]
    samples = trial.samples or all_samples
    value = trial.score.value if trial.score else None
    return (
        Cell(name),
        _number(value, metric),
        *figures,
        *losses,
        _latency(trial.latency),
        Cell(str(samples), samples),
    )


def _number(value: float | None, metric: Metric) -> Cell:
    return Cell(shown(value, metric), value)


def _latency(latency: Latency | None) -> Cell:
    value = latency.median_ms if latency else None
    return Cell(figure(value), value)
