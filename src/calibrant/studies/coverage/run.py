"""Running a coverage study: what the samples show, what the activations say, and which samples suffice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from calibrant.artifacts.store import write_json
from calibrant.core.clock import Clock
from calibrant.core.metrics import Metric, badness
from calibrant.core.progress import Progress
from calibrant.core.tasks import SampleSet
from calibrant.core.types import Sample
from calibrant.stages.evaluate import evaluate
from calibrant.studies.coverage.activations import Activations, observe_sets
from calibrant.studies.coverage.growth import (
    TOLERANCE,
    Grown,
    Subset,
    enough,
    extreme_orders,
    learning_points,
    order_spreads,
    score_tolerance,
    spreads,
)
from calibrant.studies.coverage.looks import PREDICTIONS, SetLooks, look_at_sets
from calibrant.studies.coverage.measuring import (
    Meter,
    measure_extremes,
    measure_ranges,
    measure_subsets,
    measure_whole,
)
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import (
    CoverageResult,
    Learning,
    OrderScore,
    OrderSpread,
    Selection,
    SelectionCheck,
    SourceSet,
)
from calibrant.studies.coverage.selection import LIST_FILE, check_of, written
from calibrant.studies.environment import environment
from calibrant.studies.plan import ids_sha256
from calibrant.studies.prepare import model_summary, runnable_file

RESULT = "coverage.json"


@dataclass(frozen=True)
class _Maps:
    """What was measured, points 0..100: the float model, subsets, and selection and pool by calibrator."""

    float_value: float | None
    subsets: Mapping[Subset, float]
    selected: Mapping[str, float | None]
    candidates: Mapping[str, float | None]
    planned: int
    measured: int


_NOTHING = _Maps(None, {}, {}, {}, 0, 0)


def run_coverage(study: CoverageStudy, out: Path, progress: Progress) -> CoverageResult:
    """Run ``study`` and write coverage.json and the list of chosen samples into ``out``.

    Raises CalibrantError.
    """
    clock = Clock()
    with clock.part("looking"):
        shown = look_at_sets(study, progress)
    with clock.part("collecting"):
        seen = observe_sets(study, shown, progress)
        orders = {order.calibrator: order for order in order_spreads(seen.grown)}
    with clock.part("measuring"):
        maps = _maps(study, study.test, seen, orders, progress) if study.test else _NOTHING
    result = CoverageResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model_summary(study.opened, study.plan),
        environment=environment(study.runtime),
        settings=study.settings.to_dict(),
        sets=_sets(study),
        float_value=maps.float_value,
        representation=seen.representation,
        learning=_learning(seen.grown, maps, study.task.metric),
        order=tuple(replace(order, scores=_order_maps(seen.grown, order, maps)) for order in orders.values()),
        duplicates=shown.duplicates,
        leaks=shown.leaks,
        contents=shown.contents,
        selection=_selection(study, shown, seen, maps, out) if shown.candidate_looks else None,
        seconds=clock.seconds,
        metric=study.task.metric,
        warnings=study.warnings,
        task=study.task.name,
    )
    write_json(out / RESULT, result.to_dict())
    return result


def _maps(
    study: CoverageStudy,
    test: SampleSet,
    seen: Activations,
    orders: Mapping[str, OrderSpread],
    progress: Progress,
) -> _Maps:
    if study.settings.budget == 0:
        return _NOTHING
    meter = Meter(study, test, Clock(study.settings.budget), progress)
    with runnable_file(study.opened.model) as file:
        in_float = evaluate(
            lambda: study.runtime.open(file), study.task, test.samples, "Evaluating FP32", progress
        )
    return _measured_within(
        meter, seen, orders, study.task.metric, study.task.metric.in_unit(in_float.score.value)
    )


def _measured_within(
    meter: Meter, seen: Activations, orders: Mapping[str, OrderSpread], metric: Metric, float_value: float
) -> _Maps:
    """What tells most comes first: every calibrator once, and then the best one's."""
    grown = seen.grown
    whole = measure_whole(grown, meter)
    ranked = sorted(
        grown.calibrators, key=lambda name: badness(whole.get(grown.whole(name), math.nan), metric)
    )
    first, later = grown.seeds[:2], grown.seeds[2:]
    candidates = measure_ranges(seen.candidate_ranges, ranked[:1], "pool", meter)
    selected = measure_ranges(seen.selected_ranges, ranked[:1], "selection", meter)
    subsets = {
        **whole,
        **measure_extremes(grown, ranked, orders, meter),
        **measure_subsets(grown, ranked, first[1:], meter),
    }
    candidates |= measure_ranges(seen.candidate_ranges, ranked[1:], "pool", meter)
    selected |= measure_ranges(seen.selected_ranges, ranked[1:], "selection", meter)
    subsets |= measure_subsets(grown, ranked, later, meter)
    return _Maps(float_value, subsets, selected, candidates, len(meter.wanted), meter.measured)


def _learning(grown: Grown, maps: _Maps, metric: Metric) -> Learning | None:
    if len(grown.sizes) == 1:
        return None
    tolerance = score_tolerance(metric)
    found = spreads(grown, maps.subsets)
    return Learning(
        grown.sizes,
        grown.seeds,
        TOLERANCE,
        tolerance,
        learning_points(grown, maps.subsets),
        found,
        enough(grown, found, maps.subsets, tolerance),
        maps.planned,
        maps.measured,
    )


def _order_maps(grown: Grown, order: OrderSpread, maps: _Maps) -> tuple[OrderScore, ...]:
    """The measured orders, the narrowest and the widest first."""
    extremes = extreme_orders(grown, order.calibrator)
    return tuple(
        OrderScore(seed, grown.first[seed], points)
        for seed in dict.fromkeys([*extremes, *grown.seeds])
        if (points := maps.subsets.get(grown.whole(order.calibrator, seed))) is not None
    )


def _selection(study: CoverageStudy, shown: SetLooks, seen: Activations, maps: _Maps, out: Path) -> Selection:
    source = (study.pool or study.calibration).source
    checks = tuple(_check(name, seen, maps) for name in seen.selected_ranges)
    chosen = written(out, source, shown.candidates, seen.cover)
    return Selection(source, len(shown.candidates), seen.cover.wanted, PREDICTIONS, LIST_FILE, chosen, checks)


def _check(calibrator: str, seen: Activations, maps: _Maps) -> SelectionCheck:
    found = check_of(calibrator, seen.selected_ranges[calibrator], seen.candidate_ranges[calibrator])
    return replace(
        found,
        value=maps.selected.get(calibrator),
        pool_value=maps.candidates.get(calibrator),
    )


def _sets(study: CoverageStudy) -> tuple[SourceSet, ...]:
    sets = [_sample_set("calibration", study.calibration.source, study.calibration.samples)]
    if study.test:
        sets.append(_sample_set("test", study.test.source, study.test.samples))
    if study.pool:
        sets.append(_sample_set("pool", study.pool.source, study.pool.samples))
    return tuple(sets)


def _sample_set(role: str, source: str, samples: Sequence[Sample]) -> SourceSet:
    return SourceSet(role, source, len(samples), ids_sha256(sample.id for sample in samples))
