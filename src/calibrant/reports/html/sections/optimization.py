"""The front of the optimization: mAP against the share of the work that is done in INT8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calibrant.reports.html.blocks import Block, Cell, Column, Key, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import figure, interval, percent, points, signed
from calibrant.stages.recommend import change_in_words


def optimization(material: Material) -> Section | None:
    """None without an optimization.json."""
    found = material.optimization
    if found is None:
        return None
    blocks: list[Block] = [Paragraph(_told(found)), _front(found)]
    if found["ablation"]:
        blocks.append(_ablation(found["ablation"]))
    return Section("optimization", "Beyond calibrators", tuple(blocks))


def _told(found: Mapping[str, Any]) -> str:
    chosen, gain = found["chosen"], found["gain_over_single"]
    loss = chosen["report"] or chosen["select"]
    return (
        f"`{chosen['name']}`: {chosen['explanation']}. It {change_in_words(loss['drop'])} "
        f"(drop {interval(loss['low'], loss['high'])}) with {percent(chosen['int8_share'])} of the "
        f"multiply-accumulates in INT8, {signed(gain[0])} against the best calibrator alone "
        f"({interval(gain[1], gain[2])}), on {found['report_images']} images that no choice was made on."
    )


def _front(found: Mapping[str, Any]) -> Plot:
    rows = [_row(point, found) for point in found["front"]]
    return Plot(
        "front",
        {
            "rows": rows,
            "fp32": found["float_report"]["map50_95"],
            "x": "multiply-accumulates in INT8 (%)",
            "y": "mAP50-95 (points)",
        },
        alt="; ".join(row["tip"] for row in rows),
        keys=(
            Key("recommended", "chosen"),
            Key("tied", "the rest of the front"),
            Key("fp32-line", "FP32"),
        ),
        table=_table(found),
    )


def _row(point: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    loss = point["report"] or point["select"]
    share = 100 * point["int8_share"]
    full = loss["map50_95"] + loss["drop"]
    return {
        "x": share,
        "y": loss["map50_95"],
        "low": full - loss["high"],
        "high": full - loss["low"],
        "mark": "recommended" if point["name"] == found["chosen"]["name"] else "tied",
        "tip": f"{point['name']}: {points(loss['map50_95'])} mAP, {share:.0f} % INT8",
    }


def _table(found: Mapping[str, Any]) -> Table:
    titles = ("INT8", "mAP50-95", "lost", "95 % interval", "agreement", "ms per image")
    rows = []
    for point in found["front"]:
        loss = point["report"] or point["select"]
        rows.append(
            (
                Cell(point["name"]),
                Cell(point["explanation"]),
                Cell(percent(point["int8_share"]), point["int8_share"]),
                Cell(points(loss["map50_95"]), loss["map50_95"]),
                Cell(points(loss["drop"]), loss["drop"]),
                Cell(interval(loss["low"], loss["high"]), loss["low"]),
                Cell(percent(point["agreement"]), point["agreement"]),
                Cell(figure(point["latency_ms"]), point["latency_ms"]),
            )
        )
    columns = (Column("model"), Column("made of"), *(Column(title, "number") for title in titles))
    return Table("Every point of the front", columns, tuple(rows))


def _ablation(found: list[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            Cell(entry["lever"]),
            Cell(points(entry["map50_95"]), entry["map50_95"]),
            Cell(signed(entry["gain"]), entry["gain"]),
            Cell(interval(entry["low"], entry["high"]), entry["low"]),
        )
        for entry in found
    )
    titles = ("mAP50-95 without it", "what it brings", "95 % interval")
    return Table(
        "What each lever brings", (Column("lever"), *(Column(t, "number") for t in titles)), rows, True
    )
