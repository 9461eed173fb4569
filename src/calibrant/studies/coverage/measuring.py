"""Scores of candidates from subsets, as far as the time budget goes: what tells most comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from calibrant.core.clock import Clock
from calibrant.core.progress import Progress
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import SampleSet
from calibrant.models.onnx.model import save_model
from calibrant.models.onnx.qdq import with_qdq
from calibrant.stages.calibrate import encodings_from
from calibrant.stages.evaluate import evaluate
from calibrant.studies.coverage.growth import Grown, Ranges, Subset, extreme_orders
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import OrderSpread
from calibrant.studies.plan import encodings_sha256

ORDER_MATTERS = 0.001
"""Orders whose ranges differ by less (a fraction) in 95 % of the tensors are not measured."""


class Meter:
    """Measures candidates on the test set until the time is up; equal candidates are measured once.

    A measurement is begun where as much time is left as the longest so far took.
    """

    def __init__(self, study: CoverageStudy, test: SampleSet, clock: Clock, progress: Progress) -> None:
        self._study, self._test, self._clock, self._progress = study, test, clock, progress
        self._longest = 0.0
        self._known: dict[str, float] = {}
        self.wanted: set[str] = set()

    @property
    def measured(self) -> int:
        """How many candidates were measured."""
        return len(self._known)

    def points(self, ranges: Ranges, title: str) -> float | None:
        """The candidate's score, as shown; None where no time is left. Raises RuntimeFailedError."""
        encodings = encodings_from(ranges, self._study.plan.scheme.activations)
        key = encodings_sha256(encodings)
        self.wanted.add(key)
        if key in self._known:
            return self._known[key]
        if not self._clock.allows(self._longest):
            return None
        plan, started = self._study.plan, self._clock.spent
        with ScratchFolder() as folder:
            file = folder / "candidate.onnx"
            save_model(with_qdq(plan.model, plan.points, encodings, plan.scheme), file)
            opened = partial(self._study.runtime.open, file)
            found = evaluate(opened, self._study.task, self._test.samples, title, self._progress)
        self._longest = max(self._longest, self._clock.spent - started)
        self._known[key] = found.score.metric.in_unit(found.score.value)
        return self._known[key]


def measure_whole(grown: Grown, meter: Meter) -> dict[Subset, float]:
    """All samples in their own order, for every calibrator."""
    return _measured(grown, (grown.whole(calibrator) for calibrator in grown.calibrators), meter)


def measure_extremes(
    grown: Grown, ranked: Sequence[str], orders: Mapping[str, OrderSpread], meter: Meter
) -> dict[Subset, float]:
    """All samples in the orders of narrowest and widest ranges, where the order matters."""
    sensitive = (calibrator for calibrator in ranked if orders[calibrator].p95 > ORDER_MATTERS)
    extremes = (
        grown.whole(calibrator, seed)
        for calibrator in sensitive
        for seed in extreme_orders(grown, calibrator)
    )
    return _measured(grown, extremes, meter)


def measure_subsets(
    grown: Grown, ranked: Sequence[str], seeds: Sequence[int | None], meter: Meter
) -> dict[Subset, float]:
    """One shuffle after the other; in each all sizes of the first calibrator, then of the next."""
    subsets = (
        Subset(calibrator, size, seed) for seed in seeds for calibrator in ranked for size in grown.sizes
    )
    return _measured(grown, subsets, meter)


def measure_ranges(
    ranges: Mapping[str, Ranges], calibrators: Sequence[str], what: str, meter: Meter
) -> dict[str, float | None]:
    """Ranges from other samples than subsets of the calibration set, by calibrator."""
    return {name: meter.points(ranges[name], f"{name}, {what}") for name in calibrators if name in ranges}


def _measured(grown: Grown, subsets: Iterable[Subset], meter: Meter) -> dict[Subset, float]:
    found = {}
    for subset in subsets:
        title = f"{subset.calibrator}, {subset.samples} samples"
        points = meter.points(grown.ranges[subset], title)
        if points is not None:
            found[subset] = points
    return found
