"""Tensors: the histograms of those that differ most with every threshold, and a table of all."""

from __future__ import annotations

import math
from collections.abc import Iterator

from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Encoding, Range
from calibrant.reports.html.blocks import Cell, Column, Paragraph, Plot, Section, Table
from calibrant.reports.html.sections.histogram import Threshold, histogram_plot
from calibrant.reports.html.sections.roles import role_of
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, decibel, figure, percent
from calibrant.studies.diagnosis.result import Diagnosis, RangeError, TensorDiagnosis

_MOST_SHOWN = 8
_MOST_ROWS = 4000
"""So many rows of the table of all tensors are about one megabyte."""


def differing_tensors(material: Material) -> Section | None:
    """Histograms of the tensors that explain most; None where the run kept no statistics."""
    names = _names_of_differing(material)
    if not names:
        return None
    why = (
        "The tensors that the causes name"
        if material.diagnosis
        else f"The tensors on which {material.losing} and {material.winning} disagree most"
    )
    told = (
        f"{why}: how often each magnitude occurred in the calibration samples, on a logarithmic scale, and "
        "below it where every candidate clips."
    )
    plots = (_plot(name, material) for name in names)
    return Section("tensors", "Tensors that differ most", (Paragraph(told), *plots))


def _plot(tensor: str, material: Material) -> Plot:
    assert material.statistics is not None
    thresholds = [
        Threshold(calibrator, role_of(calibrator, material), range_of(encodings[tensor]))
        for calibrator, encodings in (material.encodings or {}).items()
        if tensor in encodings
    ]
    found = material.diagnosis.tensor(tensor) if material.diagnosis else None
    return histogram_plot(tensor, material.statistics.tensors[tensor], thresholds, found)


def range_of(encoding: Encoding) -> Range:
    """The real interval that a per-tensor encoding can hold."""
    spec, scale, zero = encoding.spec, float(encoding.scale), int(encoding.zero_point)
    lowest = -spec.qmax if spec.symmetric and spec.qmin < 0 else spec.qmin
    return Range((lowest - zero) * scale, (spec.qmax - zero) * scale)


def _names_of_differing(material: Material) -> list[str]:
    if material.statistics is None or not material.encodings:
        return []
    named = _from_diagnosis(material.diagnosis) if material.diagnosis else _most_disputed(material)
    known = (name for name in dict.fromkeys(named) if name in material.statistics.tensors)
    return [name for _, name in zip(range(_MOST_SHOWN), known, strict=False)]


def _from_diagnosis(found: Diagnosis) -> Iterator[str]:
    if found.swap is not None:
        yield from (step.tensor for step in found.swap.steps)
    yield from (cause.tensor for cause in found.causes if cause.tensor is not None)
    for sensitivity in found.sensitivity[:1]:
        yield from (tensor for layer in sensitivity.worst for tensor in layer.tensors)


def _most_disputed(material: Material) -> list[str]:
    """The tensors of which the loser and the winner keep the most different ranges."""
    encodings = material.encodings or {}
    losing, winning = (encodings.get(name or "", {}) for name in (material.losing, material.winning))
    ratios = {
        tensor: abs(math.log(range_of(losing[tensor]).amax / range_of(winning[tensor]).amax))
        for tensor in losing.keys() & winning.keys()
    }
    disputed = sorted((tensor for tensor in ratios if ratios[tensor] > 0), key=lambda t: (-ratios[t], t))
    return disputed[: _MOST_SHOWN - 2]


def all_tensors(material: Material) -> Section | None:
    """Every quantized activation under every candidate, as one sortable table."""
    if material.diagnosis is not None and material.diagnosis.tensors:
        table = _diagnosed_table(material.diagnosis, material)
    elif material.statistics is not None and material.encodings:
        table = _plain_table(material)
    else:
        return None
    return Section("all-tensors", "All tensors", (table,))


def _diagnosed_table(found: Diagnosis, material: Material) -> Table:
    names = dict.fromkeys(error.calibrator for tensor in found.tensors for error in tensor.errors)
    shown = _that_fit(list(names), len(found.tensors), material)
    tensors = list(enumerate(found.tensors))
    told = f"{len(tensors)} tensors under {len(shown)} candidates"
    if len(tensors) * len(shown) > _MOST_ROWS:
        told = f"the {_MOST_ROWS // len(shown)} of {len(tensors)} tensors with the lowest SQNR"
        tensors = sorted(tensors, key=lambda entry: _lowest_sqnr(entry[1]))[: _MOST_ROWS // len(shown)]
    rows = [
        (error.calibrator, _diagnosed_row(position, tensor, error))
        for position, tensor in tensors
        for error in tensor.errors
        if error.calibrator in shown
    ]
    titles = (
        "lowest",
        "highest",
        "keeps from",
        "to",
        "of minmax",
        "clipped",
        "SQNR (dB)",
        "clipping's share",
    )
    more = ("dead levels", "kurtosis", "tail")
    columns = (
        Column("#", "number"),
        Column("tensor", "name"),
        *(Column(title, "number") for title in (*titles, *more)),
        Column("largest in", "name"),
    )
    return _by_candidate(told, columns, rows, material)


def _by_candidate(
    told: str, columns: tuple[Column, ...], rows: list[tuple[str, tuple[Cell, ...]]], material: Material
) -> Table:
    return Table(
        f"{told}; a click on a title sorts",
        columns,
        tuple(row for _, row in rows),
        is_open=True,
        groups=tuple(calibrator for calibrator, _ in rows),
        group_title="candidate",
        shown_group=material.winning or "",
    )


def _that_fit(calibrators: list[str], tensors: int, material: Material) -> list[str]:
    """All calibrators, or the winner and the loser where all would make the page too large."""
    if len(calibrators) * tensors <= _MOST_ROWS:
        return calibrators
    return [name for name in calibrators if name in (material.winning, material.losing)] or calibrators[:1]


def _lowest_sqnr(tensor: TensorDiagnosis) -> float:
    return min((error.sqnr_db for error in tensor.errors if error.sqnr_db is not None), default=math.inf)


def _diagnosed_row(position: int, tensor: TensorDiagnosis, error: RangeError) -> tuple[Cell, ...]:
    numbers = (tensor.low, tensor.high, error.low, error.high)
    return (
        Cell(str(position), position),
        Cell(tensor.tensor),
        *(Cell(figure(number), number) for number in numbers),
        Cell(percent(error.ratio), error.ratio),
        Cell(percent(error.clipped, 2), error.clipped),
        Cell(decibel(error.sqnr_db), error.sqnr_db),
        Cell(percent(error.clipping_share), error.clipping_share),
        Cell(percent(error.dead_levels), error.dead_levels),
        Cell(figure(tensor.kurtosis), tensor.kurtosis),
        Cell(figure(tensor.tail), tensor.tail),
        Cell(f"{tensor.peaks.sample}, channel {tensor.peaks.channel}" if tensor.peaks else NOTHING),
    )


def _plain_table(material: Material) -> Table:
    assert material.statistics is not None
    known = material.encodings or {}
    tensors = list(enumerate(material.statistics.tensors.items()))
    shown = _that_fit(list(known), len(tensors), material)
    rows = [
        (calibrator, _plain_row(position, tensor, seen, range_of(known[calibrator][tensor])))
        for position, (tensor, seen) in tensors[: _MOST_ROWS // len(shown)]
        for calibrator in shown
        if tensor in known[calibrator]
    ]
    titles = ("lowest", "highest", "keeps from", "to", "of the largest")
    columns = (Column("#", "number"), Column("tensor", "name"), *(Column(t, "number") for t in titles))
    return _by_candidate(f"{len(tensors)} tensors under {len(shown)} candidates", columns, rows, material)


def _plain_row(position: int, tensor: str, seen: TensorStatistics, kept: Range) -> tuple[Cell, ...]:
    share = kept.amax / seen.amax if seen.amax else None
    numbers = (seen.low, seen.high, kept.low, kept.high)
    return (
        Cell(str(position), position),
        Cell(tensor),
        *(Cell(figure(number), number) for number in numbers),
        Cell(percent(share), share),
    )
