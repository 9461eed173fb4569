"""The ranking: what every candidate loses against FP32, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calibrant.reports.html.blocks import Block, Cell, Column, Key, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, figure, interval, points, signed

_COLUMNS = ("mAP50-95", "mAP50", "small", "medium", "large", "lost", "from", "to", "ms per image", "images")
_ACCURACY = ("map50_95", "map50", "map_small", "map_medium", "map_large")


def ranking(material: Material) -> Section | None:
    """The candidates, best first; the failed ones with their reason."""
    blocks: list[Block] = []
    if material.measured:
        blocks.append(_plot(material))
    failures = [f"`{trial['calibrator']}` failed: {trial['reason']}" for trial in material.failed]
    blocks += [Paragraph(failure) for failure in failures]
    blocks += [Paragraph(f"Note: {warning}", is_note=True) for warning in material.study["warnings"]]
    return Section("ranking", "Ranking", tuple(blocks)) if blocks else None


def _plot(material: Material) -> Plot:
    rows = [_row(trial, material) for trial in (*material.measured, *material.stopped)]
    return Plot(
        "ranking",
        {"rows": rows, "label": "mAP points lost against FP32"},
        alt="; ".join(f"{row['name']} loses {points(row['drop'])} points" for row in rows),
        keys=_keys(rows),
        table=_table(material),
    )


def _row(trial: Mapping[str, Any], material: Material) -> dict[str, Any]:
    low, high = trial["drop_ci95"]
    return {
        "name": trial["calibrator"],
        "drop": trial["drop"],
        "low": low,
        "high": high,
        "map": points(trial["map50_95"]) if trial["status"] == "ok" else "",
        "mark": _mark(trial, material),
        "tip": f"{trial['calibrator']}: mAP {points(trial['map50_95'])}, {signed(-trial['drop'])} against "
        f"FP32, 95 % interval of the drop {interval(low, high)}",
    }


def _mark(trial: Mapping[str, Any], material: Material) -> str:
    chosen = material.study["recommended"]
    if trial["calibrator"] == chosen["calibrator"]:
        return "recommended"
    if trial["status"] == "stopped":
        return "stopped"
    return "tied" if trial["calibrator"] in chosen["tied"] else "worse"


def _keys(rows: list[dict[str, Any]]) -> tuple[Key, ...]:
    texts = {
        "recommended": "recommended",
        "tied": "cannot be told from it on this test set",
        "worse": "beyond doubt worse than the best",
        "stopped": "stopped early: beaten beyond doubt on fewer images",
    }
    used = {row["mark"] for row in rows}
    marks = tuple(Key(mark, text) for mark, text in texts.items() if mark in used)
    return (*marks, Key("whisker", "95 % interval, paired bootstrap over the test images"))


def _table(material: Material) -> Table:
    baseline = material.study["baseline"]
    images = material.study["data"]["test_images"]
    last = (_latency(baseline), Cell(str(images), images))
    float_row = (Cell("FP32"), *_accuracy(baseline), *[Cell(NOTHING)] * 3, *last)
    rows = tuple(_cells(trial, images) for trial in (*material.measured, *material.stopped))
    columns = (Column("calibrator"), *(Column(title, "number") for title in _COLUMNS))
    return Table("All figures, in mAP points", columns, (float_row, *rows))


def _cells(trial: Mapping[str, Any], all_images: int) -> tuple[Cell, ...]:
    name = f"{trial['calibrator']} (same as {trial['same_as']})" if trial["same_as"] else trial["calibrator"]
    drops = [Cell(points(value), value) for value in (trial["drop"], *trial["drop_ci95"])]
    images = trial.get("images") or all_images
    return (Cell(name), *_accuracy(trial), *drops, _latency(trial), Cell(str(images), images))


def _accuracy(entry: Mapping[str, Any]) -> list[Cell]:
    return [Cell(points(entry[name]), entry[name]) for name in _ACCURACY]


def _latency(entry: Mapping[str, Any]) -> Cell:
    value = (entry["latency"] or {}).get("median_ms")
    return Cell(figure(value), value)
