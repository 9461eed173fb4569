"""One tensor's histogram with every calibrator's threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.core.histogram import BINS
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Range
from calibrant.reports.html.blocks import Cell, Column, Plot, Table
from calibrant.reports.words import NOTHING, decibel, figure, percent
from calibrant.studies.diagnosis.result import TensorDiagnosis

_BARS = 128


@dataclass(frozen=True)
class Threshold:
    """The range that one calibrator keeps of a tensor."""

    calibrator: str
    role: str
    kept: Range


def histogram_plot(
    name: str, seen: TensorStatistics, thresholds: list[Threshold], found: TensorDiagnosis | None
) -> Plot:
    """The plot of one tensor; ``found`` adds clipping and SQNR to the table behind it."""
    limit, counts = _bars(seen)
    rows = [_row(threshold, seen.amax) for threshold in thresholds]
    told = ", ".join(f"{row['name']} at {row['share']} of the largest" for row in rows)
    return Plot(
        "histogram",
        heading=name,
        data={
            "limit": limit,
            "counts": counts,
            "amax": seen.amax,
            "rows": rows,
            "x": "magnitude |x|" if seen.low < 0 else "value",
        },
        alt=f"Magnitudes up to {figure(seen.amax)}; thresholds: {told}",
        table=_table(thresholds, seen.amax, found),
        title=_where(seen, found),
    )


def _bars(seen: TensorStatistics) -> tuple[float, list[int]]:
    """At most 128 equal bars that reach to the largest magnitude: their common end, and their counts."""
    histogram = seen.histogram
    used = max(1, int(np.ceil(seen.amax / histogram.limit * BINS))) if histogram.limit else 1
    width = -(-min(used, BINS) // _BARS)
    bars = -(-min(used, BINS) // width)
    padded = np.zeros(bars * width, np.int64)
    padded[: min(len(padded), BINS)] = histogram.counts[: len(padded)]
    end = bars * width * histogram.limit / BINS if histogram.limit else 1.0
    return end, [int(count) for count in padded.reshape(bars, width).sum(axis=1)]


def _row(threshold: Threshold, amax: float) -> dict[str, Any]:
    kept = threshold.kept.amax
    share = percent(kept / amax, 0) if amax else NOTHING
    return {
        "name": threshold.calibrator,
        "role": threshold.role,
        "at": kept,
        "share": share,
        "tip": f"{threshold.calibrator} clips at {figure(kept)}, {share} of the largest magnitude",
    }


def _where(seen: TensorStatistics, found: TensorDiagnosis | None) -> str:
    values = f"{seen.count:,} values from {figure(seen.low)} to {figure(seen.high)}"
    if found is None or found.peaks is None:
        return values
    return f"{values}; the largest in {found.peaks.sample}, channel {found.peaks.channel}"


def _table(thresholds: list[Threshold], amax: float, found: TensorDiagnosis | None) -> Table:
    titles = ("keeps from", "to", "of the largest", "clipped", "SQNR (dB)", "clipping's share")
    columns = (Column("calibrator"), *(Column(title, "number") for title in titles))
    return Table("Figures", columns, tuple(_cells(threshold, amax, found) for threshold in thresholds))


def _cells(threshold: Threshold, amax: float, found: TensorDiagnosis | None) -> tuple[Cell, ...]:
    kept, error = threshold.kept, found.error(threshold.calibrator) if found else None
    share = kept.amax / amax if amax else None
    return (
        Cell(threshold.calibrator),
        Cell(figure(kept.low), kept.low),
        Cell(figure(kept.high), kept.high),
        Cell(percent(share), share),
        Cell(percent(error.clipped, 2), error.clipped) if error else Cell(NOTHING),
        Cell(decibel(error.sqnr_db), error.sqnr_db) if error else Cell(NOTHING),
        Cell(percent(error.clipping_share), error.clipping_share) if error else Cell(NOTHING),
    )
