"""The calibration set: does it represent, how many samples are enough, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from calibrant.core.metrics import Metric
from calibrant.reports.html.blocks import Block, Cell, Column, Heading, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, figure, listed, percent, shown
from calibrant.studies.coverage.result import (
    CoverageResult,
    Learning,
    LearningPoint,
    OrderScore,
    OrderSpread,
    Representation,
    Selection,
    SimilarPair,
)

_WORST, _PAIRS, _ABSENT = 30, 5, 8


def coverage(material: Material) -> Section | None:
    """None without a coverage.json."""
    found = material.coverage
    if found is None:
        return None
    blocks = [
        *_representation(found.representation),
        *_learning(found.learning, found.metric),
        *_order(found.order, found.metric),
        *_contents(found),
        *_selection(found.selection),
    ]
    return Section("coverage", "The calibration set", tuple(blocks)) if blocks else None


def _representation(found: Representation | None) -> list[Block]:
    if found is None:
        return []
    told = f"Compared with the {found.compared_with} samples, the calibration set {_VERDICTS[found.verdict]}."
    return [Paragraph(" ".join([told, *found.reasons])), _tensor_table(found)]


_VERDICTS = {
    "represents": "represents them",
    "does not represent": "does not represent them",
    "too few samples": "holds too few samples to tell",
}


def _tensor_table(found: Representation) -> Table:
    tensors = found.tensors[:_WORST]
    titles = ("samples outside", "probability", "overshoot", "distance", "noise")
    rows = tuple(
        (
            Cell(tensor.tensor),
            Cell(", ".join(tensor.findings) or NOTHING),
            Cell(percent(tensor.samples_outside), tensor.samples_outside),
            Cell(figure(tensor.probability), tensor.probability),
            Cell(percent(tensor.excess), tensor.excess),
            Cell(figure(tensor.distance), tensor.distance),
            Cell(figure(tensor.noise), tensor.noise),
        )
        for tensor in tensors
    )
    columns = (Column("tensor", "name"), Column("beyond chance"), *(Column(t, "number") for t in titles))
    return Table(f"The {len(tensors)} worst tensors of {len(found.tensors)}", columns, rows)


def _learning(found: Learning | None, metric: Metric) -> list[Block]:
    if found is None or not found.points:
        return []
    parts: list[Block] = [
        Heading("How many samples are enough"),
        Paragraph(
            "How far the ranges from the first samples are from those of all samples: the median tensor, "
            "over "
            f"{len(found.seeds)} orders of the samples. A range counts as settled below "
            f"{percent(found.tolerance)}."
        ),
        _curve(found, "median_change", "change of the range (%)", 100.0, is_log=True),
    ]
    if any(point.value is not None for point in found.points):
        parts.append(_curve(found, "value", f"{metric.column} ({metric.unit})", 1.0, is_log=False))
    return [*parts, _enough_table(found, metric)]


def _curve(found: Learning, field: str, label: str, factor: float, *, is_log: bool) -> Plot:
    lines: list[dict[str, Any]] = [
        {"name": name, "points": _medians(found.points, name, field, factor)}
        for name in dict.fromkeys(point.calibrator for point in found.points)
    ]
    lines = [line for line in lines if line["points"]]
    threshold = factor * found.tolerance if is_log else None
    return Plot(
        "learning",
        {"lines": lines, "x": "calibration samples", "y": label, "isLog": is_log, "threshold": threshold},
        alt="; ".join(f"{line['name']}: {_ends(line['points'])}" for line in lines),
        table=_points_table(lines, label),
    )


def _medians(
    measured: Sequence[LearningPoint], name: str, field: str, factor: float
) -> list[dict[str, float]]:
    """Median, least and most over the orders, for every number of samples."""
    by_size: dict[int, list[float]] = {}
    for point in measured:
        if point.calibrator == name and getattr(point, field) is not None:
            by_size.setdefault(point.samples, []).append(factor * getattr(point, field))
    return [
        {"x": size, "y": median(values), "low": min(values), "high": max(values), "orders": len(values)}
        for size, values in sorted(by_size.items())
    ]


def _ends(curve: Sequence[Mapping[str, float]]) -> str:
    first, last = curve[0], curve[-1]
    return f"{figure(first['y'])} at {first['x']:g} samples, {figure(last['y'])} at {last['x']:g}"


def _points_table(lines: Sequence[Mapping[str, Any]], label: str) -> Table:
    columns = (
        Column("calibrator"),
        *(Column(t, "number") for t in ("samples", label, "least", "most", "orders")),
    )
    rows = tuple(
        (
            Cell(line["name"]),
            *(Cell(figure(point[key]), point[key]) for key in ("x", "y", "low", "high", "orders")),
        )
        for line in lines
        for point in line["points"]
    )
    return Table("Figures", columns, rows)


def _enough_table(found: Learning, metric: Metric) -> Table:
    titles = ("enough by its ranges", f"enough by {metric.words}")
    columns = (Column("calibrator"), *(Column(title, "number") for title in titles))
    rows = tuple(
        (
            Cell(entry.calibrator),
            *(
                Cell(str(getattr(entry, key) or NOTHING), getattr(entry, key))
                for key in ("by_threshold", "by_map")
            ),
        )
        for entry in found.enough
    )
    return Table("From how many samples on the result no longer depends on which they are", columns, rows)


def _order(found: Sequence[OrderSpread], metric: Metric) -> list[Block]:
    moved = [entry for entry in found if entry.largest > 0]
    told = [
        f"`{entry.calibrator}`: over {entry.orders} orders of the same samples the median tensor's "
        f"range moves by {percent(entry.median)}, `{entry.largest_tensor}`'s by "
        f"{percent(entry.largest)}{_maps(entry.scores, metric)}."
        for entry in moved
    ]
    return [Heading("What the order of the samples changes"), *map(Paragraph, told)] if told else []


def _maps(maps: Sequence[OrderScore], metric: Metric) -> str:
    if not maps:
        return ""
    values = [entry.value for entry in maps]
    return f"; {metric.words} between {shown(min(values), metric)} and {shown(max(values), metric)}"


def _contents(found: CoverageResult) -> list[Block]:
    told = [
        *_pairs(found.leaks, "leak from calibration into test"),
        *_pairs(found.duplicates, "duplicate"),
    ]
    features = found.contents.features if found.contents else ()
    absent = [f for f in features if not f.calibration_samples and f.compared_samples]
    with_what = found.contents.compared_with if found.contents else ""
    if absent:
        names = listed([f"{feature.kind} {feature.name}" for feature in absent], _ABSENT)
        told.append(f"Not in the calibration samples, but in the {with_what} samples: {names}.")
    return [Heading("What the samples show"), *map(Paragraph, told)] if told else []


def _pairs(pairs: Sequence[SimilarPair], what: str) -> list[str]:
    if not pairs:
        return []
    named = [f"`{pair.first}` and `{pair.second}`" for pair in pairs[:_PAIRS]]
    return [f"{len(pairs)} {what}{'s' if len(pairs) > 1 else ''}, e.g. {'; '.join(named)}."]


def _selection(found: Selection | None) -> list[Block]:
    if found is None:
        return []
    return [
        Heading("The smallest set that covers"),
        Paragraph(
            f"{len(found.chosen)} of {found.pool_samples} samples cover everything that "
            f"{found.pool} shows; they are listed in `{found.list_file}`, for --calib."
        ),
    ]
