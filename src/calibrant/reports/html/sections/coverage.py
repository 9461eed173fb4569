"""The calibration set: does it represent, how many images are enough, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from calibrant.reports.html.blocks import Block, Cell, Column, Heading, Paragraph, Plot, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, figure, listed, percent, points

_WORST, _PAIRS, _ABSENT = 30, 5, 8


def coverage(material: Material) -> Section | None:
    """None without a coverage.json."""
    found = material.coverage
    if found is None:
        return None
    blocks = [
        *_representation(found["representation"]),
        *_learning(found["learning"]),
        *_order(found["order"]),
        *_contents(found),
        *_selection(found["selection"]),
    ]
    return Section("coverage", "The calibration set", tuple(blocks)) if blocks else None


def _representation(found: Mapping[str, Any] | None) -> list[Block]:
    if found is None:
        return []
    told = f"Held against the {found['compared_with']} images it {_VERDICTS[found['verdict']]}."
    return [Paragraph(" ".join([told, *found["reasons"]])), _tensor_table(found)]


_VERDICTS = {
    "represents": "represents them",
    "does not represent": "does not represent them",
    "too few images": "holds too few images to tell",
}


def _tensor_table(found: Mapping[str, Any]) -> Table:
    tensors = found["tensors"][:_WORST]
    titles = ("images outside", "probability", "overshoot", "distance", "noise")
    rows = tuple(
        (
            Cell(tensor["tensor"]),
            Cell(", ".join(tensor["findings"]) or NOTHING),
            Cell(percent(tensor["images_outside"]), tensor["images_outside"]),
            Cell(figure(tensor["probability"]), tensor["probability"]),
            Cell(percent(tensor["excess"]), tensor["excess"]),
            Cell(figure(tensor["distance"]), tensor["distance"]),
            Cell(figure(tensor["noise"]), tensor["noise"]),
        )
        for tensor in tensors
    )
    columns = (Column("tensor", "name"), Column("beyond chance"), *(Column(t, "number") for t in titles))
    return Table(f"The {len(tensors)} worst tensors of {len(found['tensors'])}", columns, rows)


def _learning(found: Mapping[str, Any] | None) -> list[Block]:
    if found is None or not found["points"]:
        return []
    parts: list[Block] = [
        Heading("How many images are enough"),
        Paragraph(
            "How far the ranges from the first images are from those of all images: the median tensor, over "
            f"{len(found['seeds'])} orders of the images. A range counts as settled below "
            f"{percent(found['tolerance'])}."
        ),
        _curve(found, "median_change", "change of the range (%)", 100.0, is_log=True),
    ]
    if any(point["map50_95"] is not None for point in found["points"]):
        parts.append(_curve(found, "map50_95", "mAP50-95 (points)", 1.0, is_log=False))
    return [*parts, _enough_table(found)]


def _curve(found: Mapping[str, Any], field: str, label: str, factor: float, *, is_log: bool) -> Plot:
    lines = [
        {"name": name, "points": _medians(found["points"], name, field, factor)}
        for name in dict.fromkeys(point["calibrator"] for point in found["points"])
    ]
    lines = [line for line in lines if line["points"]]
    threshold = factor * found["tolerance"] if is_log else None
    return Plot(
        "learning",
        {"lines": lines, "x": "calibration images", "y": label, "isLog": is_log, "threshold": threshold},
        alt="; ".join(f"{line['name']}: {_ends(line['points'])}" for line in lines),
        table=_points_table(lines, label),
    )


def _medians(
    measured: Sequence[Mapping[str, Any]], name: str, field: str, factor: float
) -> list[dict[str, float]]:
    """Median, least and most over the orders, for every number of images."""
    by_size: dict[int, list[float]] = {}
    for point in measured:
        if point["calibrator"] == name and point[field] is not None:
            by_size.setdefault(point["images"], []).append(factor * point[field])
    return [
        {"x": size, "y": median(values), "low": min(values), "high": max(values), "orders": len(values)}
        for size, values in sorted(by_size.items())
    ]


def _ends(curve: Sequence[Mapping[str, float]]) -> str:
    first, last = curve[0], curve[-1]
    return f"{figure(first['y'])} at {first['x']:g} images, {figure(last['y'])} at {last['x']:g}"


def _points_table(lines: Sequence[Mapping[str, Any]], label: str) -> Table:
    columns = (
        Column("calibrator"),
        *(Column(t, "number") for t in ("images", label, "least", "most", "orders")),
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


def _enough_table(found: Mapping[str, Any]) -> Table:
    titles = ("enough by its ranges", "enough by mAP")
    columns = (Column("calibrator"), *(Column(title, "number") for title in titles))
    rows = tuple(
        (
            Cell(entry["calibrator"]),
            *(Cell(str(entry[key] or NOTHING), entry[key]) for key in ("by_threshold", "by_map")),
        )
        for entry in found["enough"]
    )
    return Table("From how many images on the result no longer depends on which they are", columns, rows)


def _order(found: Sequence[Mapping[str, Any]]) -> list[Block]:
    moved = [entry for entry in found if entry["largest"] > 0]
    told = [
        f"`{entry['calibrator']}`: over {entry['orders']} orders of the same images the median tensor's "
        f"range moves by {percent(entry['median'])}, `{entry['largest_tensor']}`'s by "
        f"{percent(entry['largest'])}{_maps(entry['maps'])}."
        for entry in moved
    ]
    return [Heading("What the order of the images changes"), *map(Paragraph, told)] if told else []


def _maps(maps: Sequence[Mapping[str, Any]]) -> str:
    if not maps:
        return ""
    values = [entry["map50_95"] for entry in maps]
    return f"; mAP between {points(min(values))} and {points(max(values))}"


def _contents(found: Mapping[str, Any]) -> list[Block]:
    told = [
        *_pairs(found["leaks"], "leak from calibration into test"),
        *_pairs(found["duplicates"], "duplicate"),
    ]
    features = found["contents"]["features"] if found["contents"] else ()
    absent = [f for f in features if not f["calibration_images"] and f["compared_images"]]
    if absent:
        names = listed([f"{feature['kind']} {feature['name']}" for feature in absent], _ABSENT)
        told.append(
            f"Not in the calibration images, but in the {found['contents']['compared_with']} images: {names}."
        )
    return [Heading("What the images show"), *map(Paragraph, told)] if told else []


def _pairs(pairs: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    if not pairs:
        return []
    named = [f"`{pair['first']}` and `{pair['second']}`" for pair in pairs[:_PAIRS]]
    return [f"{len(pairs)} {what}{'s' if len(pairs) > 1 else ''}, e.g. {'; '.join(named)}."]


def _selection(found: Mapping[str, Any] | None) -> list[Block]:
    if found is None:
        return []
    return [
        Heading("The smallest set that covers"),
        Paragraph(
            f"{len(found['chosen'])} of {found['pool_images']} images cover everything that "
            f"{found['pool']} shows; they are listed in `{found['list_file']}`, for --calib."
        ),
    ]
