"""How many are enough? Ranges from growing subsets of the calibration set, in several orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.progress import Progress
from calibrant.core.types import Range, Sample
from calibrant.stages.calibrate import ranges_from
from calibrant.stages.coverage.passes import Passes
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import Enough, LearningPoint, OrderSpread, Spread

Ranges = Mapping[str, Range]
SMALLEST = 2
TOLERANCE = 0.02
"""Random subsets whose thresholds differ by less (a fraction, standard deviation) count as the same."""
_FEWEST_SIZES = 3  # of sets below 16 samples nothing can be said
SCORE_TOLERANCE = 0.005
"""Share of the metric's scale within which a subset is as good as all samples."""


def score_tolerance(metric: Metric) -> float:
    """What a subset's score may differ from all samples', as shown."""
    return SCORE_TOLERANCE * metric.scale


@dataclass(frozen=True)
class Subset:
    """The first ``samples`` samples in one order under one calibrator; ``seed`` None: the order as given."""

    calibrator: str
    samples: int
    seed: int | None


@dataclass(frozen=True)
class Grown:
    """The ranges of every subset. ``first`` names each order's first sample."""

    calibrators: tuple[str, ...]
    seeds: tuple[int | None, ...]
    sizes: tuple[int, ...]
    ranges: Mapping[Subset, Ranges]
    first: Mapping[int | None, str]

    def whole(self, calibrator: str, seed: int | None = None) -> Subset:
        """All samples in one order."""
        return Subset(calibrator, self.sizes[-1], seed)

    def widths(self, calibrator: str) -> NDArray[np.float64]:
        """How wide each range is: (orders, sizes, tensors), real units."""
        return np.array(
            [
                [widths_of(self.ranges[Subset(calibrator, size, seed)]) for size in self.sizes]
                for seed in self.seeds
            ]
        )

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors, in the order of :meth:`widths`."""
        return tuple(self.ranges[self.whole(self.calibrators[0])])


def sizes_for(samples: int) -> tuple[int, ...]:
    """Powers of two from 2 up, then all samples."""
    sizes = [size for size in (SMALLEST * 2**k for k in range(samples.bit_length())) if size < samples]
    return (*sizes, samples)


def grow(study: CoverageStudy, passes: Passes, progress: Progress) -> Grown:
    """Collect the calibration set once in its own order and once in each of the shuffles."""
    samples = study.calibration.samples
    sizes = sizes_for(len(samples))
    first_seed = study.settings.study.seed
    shuffles = range(first_seed, first_seed + study.settings.shuffles) if len(samples) > 1 else ()
    seeds: tuple[int | None, ...] = (None, *shuffles)
    ranges: dict[Subset, Ranges] = {}
    first: dict[int | None, str] = {}
    for number, seed in enumerate(seeds):
        ordered = in_order_of(samples, seed)
        first[seed] = ordered[0].id
        title = "Calibrating" if seed is None else f"Calibrating, shuffle {number}"
        for statistics in passes.growing(ordered, sizes, progress, title):
            for calibrator in study.calibrators:
                chosen = ranges_from(statistics, calibrator, study.plan.scheme.activations, study.plan.ties)
                ranges[Subset(calibrator.name, len(statistics.sample_ids), seed)] = chosen
    return Grown(tuple(c.name for c in study.calibrators), seeds, sizes, ranges, first)


def in_order_of(samples: Sequence[Sample], seed: int | None) -> tuple[Sample, ...]:
    """The samples shuffled by a seed, or as they are."""
    if seed is None:
        return tuple(samples)
    return tuple(samples[index] for index in np.random.default_rng(seed).permutation(len(samples)))


def widths_of(ranges: Ranges) -> NDArray[np.float64]:
    """How wide each tensor's range is, real units."""
    return np.array([chosen.high - chosen.low for chosen in ranges.values()])


def changes(widths: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """|width / reference - 1|; 0 where both are 0."""
    return np.abs(_ratio(widths - reference, reference))


def learning_points(grown: Grown, maps: Mapping[Subset, float]) -> tuple[LearningPoint, ...]:
    """Every subset, with its score where that was measured."""
    points = []
    for calibrator in grown.calibrators:
        widths = grown.widths(calibrator)
        moved = changes(widths, widths[:, -1:, :])
        for s, seed in enumerate(grown.seeds):
            for n, size in enumerate(grown.sizes):
                middle, most = np.median(moved[s, n]), np.quantile(moved[s, n], 0.95)
                measured = maps.get(Subset(calibrator, size, seed))
                points.append(LearningPoint(calibrator, size, seed, float(middle), float(most), measured))
    return tuple(points)


def spreads(grown: Grown, maps: Mapping[Subset, float]) -> tuple[Spread, ...]:
    """How far subsets of the same size disagree, for every calibrator and size."""
    found = []
    for calibrator in grown.calibrators:
        widths = grown.widths(calibrator)
        relative = _ratio(widths.std(axis=0, ddof=1), widths.mean(axis=0))
        for n, size in enumerate(grown.sizes):
            measured = [maps[s] for seed in grown.seeds if (s := Subset(calibrator, size, seed)) in maps]
            worst = int(relative[n].argmax())
            found.append(
                Spread(
                    calibrator,
                    size,
                    float(np.median(relative[n])),
                    float(np.quantile(relative[n], 0.95)),
                    float(relative[n, worst]),
                    grown.tensors[worst],
                    min(measured, default=None),
                    max(measured, default=None),
                    len(measured),
                )
            )
    return tuple(found)


def enough(
    grown: Grown, found: Sequence[Spread], maps: Mapping[Subset, float], tolerance: float
) -> tuple[Enough, ...]:
    """From how many samples on it no longer matters which they are, for every calibrator."""
    half = grown.sizes[-1] / 2
    results = []
    for calibrator in grown.calibrators:
        # Larger subsets share most of their samples: that they agree means nothing.
        own = [spread for spread in found if spread.calibrator == calibrator and spread.samples <= half]
        verdicts = [(spread.samples, spread.median < TOLERANCE) for spread in own]
        by_threshold = _from_which_on(verdicts) if len(verdicts) >= _FEWEST_SIZES else None
        results.append(Enough(calibrator, by_threshold, _enough_by_score(grown, calibrator, maps, tolerance)))
    return tuple(results)


def order_spreads(grown: Grown) -> tuple[OrderSpread, ...]:
    """What the order of all samples alone changes, for every calibrator."""
    found = []
    for calibrator in grown.calibrators:
        widths = grown.widths(calibrator)[:, -1]
        relative = _ratio(np.ptp(widths, axis=0), widths.mean(axis=0))
        worst = int(relative.argmax())
        found.append(
            OrderSpread(
                calibrator,
                len(grown.seeds),
                float(np.median(relative)),
                float(np.quantile(relative, 0.95)),
                float(relative[worst]),
                grown.tensors[worst],
            )
        )
    return tuple(found)


def extreme_orders(grown: Grown, calibrator: str) -> tuple[int | None, int | None]:
    """The orders whose ranges are narrowest and widest, in the geometric mean over the tensors."""
    widths = grown.widths(calibrator)[:, -1]
    used = widths[:, (widths > 0).all(axis=0)]
    means = np.log(used).mean(axis=1) if used.size else np.zeros(len(widths))
    return grown.seeds[int(means.argmin())], grown.seeds[int(means.argmax())]


def _enough_by_score(
    grown: Grown, calibrator: str, maps: Mapping[Subset, float], tolerance: float
) -> int | None:
    whole = maps.get(grown.whole(calibrator))
    if whole is None:
        return None
    verdicts = []
    for size in grown.sizes[:-1]:
        measured = [maps[s] for seed in grown.seeds if (s := Subset(calibrator, size, seed)) in maps]
        good = bool(measured) and all(abs(points - whole) <= tolerance for points in measured)
        verdicts.append((size, good))
    return _from_which_on(verdicts)


def _from_which_on(verdicts: Sequence[tuple[int, bool]]) -> int | None:
    """The smallest size from which on all verdicts are good; sizes ascend."""
    found = None
    for size, good in reversed(verdicts):
        if not good:
            break
        found = size
    return found


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
