"""Which layers TensorRT may run in INT8 by itself, and where tensors change their type."""

from __future__ import annotations

from collections import Counter

from calibrant.reports.html.blocks import Cell, Column, Key, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.studies.result import LayerSummary

_ROWS = ("INT8", "FP32")


def precision(material: Material) -> Section | None:
    """None for a scheme that leaves no choice to TensorRT."""
    layers = material.study.model.layers
    if not layers:
        return None
    counts, passes = Counter(layer.computes for layer in layers), sum(layer.reformats for layer in layers)
    told = (
        f"Layers in INT8: {counts['INT8']}, in FP32: {counts['FP32']}; reformats between them, each a pass "
        f"over memory: {passes}. So it is where INT8 is the quicker; small layers TensorRT keeps in float."
    )
    plot = Plot(
        "precision",
        {
            "layers": [
                {"x": x, "computes": layer.computes, "reformats": layer.reformats, "tip": _tip(layer)}
                for x, layer in enumerate(layers)
            ],
            "rows": list(_ROWS),
            "label": "layer, in the engine's order",
        },
        alt=told,
        keys=(Key("pass", "a reformat before the layer"),) if passes else (),
        table=Table(
            "Layers",
            (Column("layer", "name"), Column("computes in"), Column("writes"), Column("reformats", "number")),
            tuple(
                (
                    Cell(layer.name),
                    Cell(layer.computes),
                    Cell(layer.writes),
                    Cell(str(layer.reformats), layer.reformats),
                )
                for layer in layers
            ),
        ),
    )
    return Section("precision", "What TensorRT runs in INT8", (Paragraph(told), plot))


def _tip(layer: LayerSummary) -> str:
    passes = f", after {layer.reformats} reformats" if layer.reformats else ""
    return f"{layer.name}\n{layer.computes}{passes}, writes {layer.writes}"
