"""The front of the optimization: mAP against the share of the work that is done in INT8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrant.core.metrics import MINIMIZE, Metric
from calibrant.reports.html.blocks import Block, Cell, Column, Key, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import figure, format_change, interval, percent, shown
from calibrant.studies.optimization.result import Ablation, OptimizationResult, Point


def optimization(material: Material) -> Section | None:
    """None without an optimization.json."""
    found = material.optimization
    if found is None:
        return None
    blocks: list[Block] = [Paragraph(_told(found)), _front(found)]
    if found.ablation:
        blocks.append(_ablation(found.ablation, found.metric))
    return Section("optimization", "Beyond calibrators", tuple(blocks))


def _told(found: OptimizationResult) -> str:
    chosen, metric = found.chosen, found.metric
    part = chosen.report or chosen.select
    return (
        f"`{chosen.name}`: {chosen.explanation}. It {metric.change(part.loss.value)} "
        f"(loss {interval(part.loss.low, part.loss.high, metric)}) with {percent(chosen.int8_share)} of the "
        f"multiply-accumulates in INT8, on {found.report_samples} samples that no choice was made on. "
        f"{found.gain_in_words}"
    )


def _front(found: OptimizationResult) -> Plot:
    rows = [_row(point, found) for point in found.front]
    return Plot(
        "front",
        {
            "rows": rows,
            "fp32": found.float_report.value,
            "x": "multiply-accumulates in INT8 (%)",
            "y": f"{found.metric.column} ({found.metric.unit})",
        },
        alt="; ".join(row["tip"] for row in rows),
        keys=(
            Key("recommended", "chosen"),
            Key("tied", "the rest of the front"),
            Key("fp32-line", "FP32"),
        ),
        table=_table(found),
    )


def _row(point: Point, found: OptimizationResult) -> dict[str, Any]:
    part = point.report or point.select
    share = 100 * point.int8_share
    whole, lost = found.float_report.value or 0.0, part.loss
    sign = -1 if found.metric.direction == MINIMIZE else 1
    return {
        "x": share,
        "y": part.value,
        "low": whole - sign * lost.high,
        "high": whole - sign * lost.low,
        "mark": "recommended" if point.name == found.chosen.name else "tied",
        "tip": f"{point.name}: {shown(part.value, found.metric)} {found.metric.words}, {share:.0f} % INT8",
    }


def _table(found: OptimizationResult) -> Table:
    titles = ("INT8", found.metric.column, "lost", "95 % interval", "agreement", "ms per sample")
    rows = []
    for point in found.front:
        part = point.report or point.select
        rows.append(
            (
                Cell(point.name),
                Cell(point.explanation),
                Cell(percent(point.int8_share), point.int8_share),
                Cell(shown(part.value, found.metric), part.value),
                Cell(shown(part.loss.value, found.metric), part.loss.value),
                Cell(interval(part.loss.low, part.loss.high, found.metric), part.loss.low),
                Cell(percent(point.agreement), point.agreement),
                Cell(figure(point.latency_ms), point.latency_ms),
            )
        )
    columns = (Column("model"), Column("made of"), *(Column(title, "number") for title in titles))
    return Table("Every point of the front", columns, tuple(rows))


def _ablation(found: Sequence[Ablation], metric: Metric) -> Table:
    rows = tuple(
        (
            Cell(entry.technique),
            Cell(shown(entry.value, metric), entry.value),
            Cell(format_change(entry.gain.value, metric), entry.gain.value),
            Cell(interval(entry.gain.low, entry.gain.high, metric), entry.gain.low),
        )
        for entry in found
    )
    titles = (f"{metric.column} without it", "what it brings", "95 % interval")
    return Table(
        "What each technique brings",
        (Column("technique"), *(Column(t, "number") for t in titles)),
        rows,
        True,
    )
