"""Where along the network the error arises and grows, and what each layer costs by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from calibrant.core.metrics import Metric
from calibrant.reports.html.blocks import Block, Cell, Column, Heading, Key, Paragraph, Plot, Section, Table
from calibrant.reports.html.sections.roles import keys_of, role_of
from calibrant.reports.material import Material
from calibrant.reports.words import decibel, percent, short, shown
from calibrant.studies.diagnosis.result import LayerSensitivity, NoiseGrowth, Sensitivity

_STEEPEST, _SENSITIVE = 3, 15


def growth(material: Material) -> Section | None:
    """None where the diagnosis measured neither."""
    found = material.diagnosis
    curves = [curve for curve in found.growth if curve.points] if found else []
    parts: list[Block] = []
    if curves:
        parts += [Paragraph(_growth_told(curves)), _growth_plot(curves, material)]
    for sensitivity in (s for s in (found.sensitivity if found else ()) if s.layers):
        parts += [
            Heading(f"What each layer costs: {sensitivity.calibrator}"),
            *_sensitivity(sensitivity, material.metric),
        ]
    return Section("growth", "Where the error arises", tuple(parts)) if parts else None


def _growth_told(curves: list[NoiseGrowth]) -> str:
    samples = curves[0].samples
    told = [f"`{node}` ({decibel(-fall)} dB)" for node, _, fall in _steepest(curves[0])]
    falls = f" Under {curves[0].calibrator} it falls most at {', '.join(told)}." if told else ""
    return (
        f"Signal to noise of the INT8 activations against FP32's behind every layer, over {samples} test "
        f"samples: the lower, the more error has gathered.{falls}"
    )


def _steepest(curve: NoiseGrowth) -> list[tuple[str, int, float]]:
    """The layers behind which the ratio falls most: node, position and fall in dB."""
    known = [(point, point.sqnr_db) for point in curve.points if point.sqnr_db is not None]
    falls = [
        (after.node, after.position, before_db - after_db)
        for (_, before_db), (after, after_db) in pairwise(known)
    ]
    return sorted((fall for fall in falls if fall[2] > 0), key=lambda fall: -fall[2])[:_STEEPEST]


def _growth_plot(curves: list[NoiseGrowth], material: Material) -> Plot:
    lines = [_line(curve, material) for curve in curves]
    return Plot(
        "growth",
        {"lines": lines, "x": "quantized layer, in the network's order", "y": "SQNR (dB)"},
        alt=_growth_told(curves),
        keys=(*keys_of(material, [curve.calibrator for curve in curves]), Key("steep", "steepest falls")),
        table=_growth_table(curves),
    )


def _line(curve: NoiseGrowth, material: Material) -> dict[str, Any]:
    steep = {position for _, position, _ in _steepest(curve)}
    return {
        "name": curve.calibrator,
        "role": role_of(curve.calibrator, material),
        "points": [
            {
                "x": point.position,
                "y": point.sqnr_db,
                "isSteep": point.position in steep,
                "tip": f"{point.node}\n{curve.calibrator}: {decibel(point.sqnr_db)} dB",
            }
            for point in curve.points
            if point.sqnr_db is not None
        ],
    }


def _growth_table(curves: list[NoiseGrowth]) -> Table:
    columns = (
        Column("position", "number"),
        Column("layer", "name"),
        Column("tensor", "name"),
        *(Column(f"{curve.calibrator} (dB)", "number") for curve in curves),
    )
    by_position = [{point.position: point.sqnr_db for point in curve.points} for curve in curves]
    rows = tuple(
        (
            Cell(str(point.position), point.position),
            Cell(point.node),
            Cell(point.tensor),
            *(Cell(decibel(known.get(point.position)), known.get(point.position)) for known in by_position),
        )
        for point in curves[0].points
    )
    return Table("Every layer", columns, rows)


def _sensitivity(found: Sensitivity, metric: Metric) -> tuple[Block, ...]:
    worst = found.worst[:_SENSITIVE]
    told = (
        f"Agreement with FP32's own predictions over {found.samples} test samples (1: all the "
        f"same). All layers in INT8 give {found.agreement_all:.3f}; the plot shows what one layer alone "
        "takes away."
    )
    plot = Plot(
        "bars",
        {
            "bars": [
                {
                    "name": short(layer.node, 30),
                    "value": 100 * layer.loss_alone,
                    "text": percent(layer.loss_alone),
                    "tip": f"{layer.node}: {percent(layer.loss_alone)}",
                }
                for layer in worst
            ],
            "label": "agreement lost by this layer alone (%)",
        },
        alt="; ".join(f"{layer.node} {percent(layer.loss_alone)}" for layer in worst[:5]),
        table=_layer_table(found, metric),
    )
    return Paragraph(told), plot


def _layer_table(found: Sensitivity, metric: Metric) -> Table:
    titles = (
        "lost alone",
        "agreement without it",
        "gained without it",
        "lost by it alone",
        "lost by the rest",
    )
    columns = (Column("layer", "name"), *(Column(title, "number") for title in titles))
    return Table(
        f"All {len(found.layers)} layers",
        columns,
        tuple(_layer_cells(layer, metric) for layer in found.layers),
    )


def _layer_cells(layer: LayerSensitivity, metric: Metric) -> tuple[Cell, ...]:
    losses = [lost.value if lost else None for lost in (layer.lost_alone, layer.lost_without)]
    return (
        Cell(layer.node),
        Cell(percent(layer.loss_alone), layer.loss_alone),
        Cell(percent(layer.agreement_without), layer.agreement_without),
        Cell(percent(layer.gain_without), layer.gain_without),
        *(Cell(shown(lost, metric), lost) for lost in losses),
    )
