"""Running a coverage study: what the images show, what the activations say, and which images suffice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from calibrant.artifacts.store import write_json
from calibrant.core.clock import Clock
from calibrant.core.progress import Progress
from calibrant.core.types import Sample
from calibrant.stages.evaluate import evaluate
from calibrant.studies.coverage.activations import Activations, observe_sets
from calibrant.studies.coverage.growth import (
    MAP_TOLERANCE,
    TOLERANCE,
    Grown,
    Subset,
    enough,
    extreme_orders,
    learning_points,
    order_spreads,
    spreads,
)
from calibrant.studies.coverage.measuring import (
    MapMeter,
    measure_extremes,
    measure_ranges,
    measure_subsets,
    measure_whole,
)
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import (
    CoverageResult,
    ImageSet,
    Learning,
    OrderMap,
    OrderSpread,
    Selection,
    SelectionCheck,
)
from calibrant.studies.coverage.selection import LIST_FILE, check_of, written
from calibrant.studies.coverage.shown import DETECTIONS, Shown, look_at_sets
from calibrant.studies.environment import environment
from calibrant.studies.plan import ids_sha256
from calibrant.studies.prepare import TestSet, model_summary, runnable_file

RESULT = "coverage.json"


@dataclass(frozen=True)
class _Maps:
    """What was measured, points 0..100: the float model, subsets, and selection and pool by calibrator."""

    float_map: float | None
    subsets: Mapping[Subset, float]
    selected: Mapping[str, float | None]
    candidates: Mapping[str, float | None]
    planned: int
    measured: int


_NOTHING = _Maps(None, {}, {}, {}, 0, 0)


def run_coverage(study: CoverageStudy, out: Path, progress: Progress) -> CoverageResult:
    """Run ``study`` and write coverage.json and the list of chosen images into ``out``.

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
        model=model_summary(study.detector, study.plan),
        environment=environment(study.runtime),
        settings=study.settings.to_dict(),
        sets=_sets(study),
        float_map=maps.float_map,
        representation=seen.representation,
        learning=_learning(seen.grown, maps),
        order=tuple(replace(order, maps=_order_maps(seen.grown, order, maps)) for order in orders.values()),
        duplicates=shown.duplicates,
        leaks=shown.leaks,
        contents=shown.contents,
        selection=_selection(study, shown, seen, maps, out) if shown.candidate_contents else None,
        seconds=clock.seconds,
        warnings=study.warnings,
    )
    write_json(out / RESULT, result.to_dict())
    return result


def _maps(
    study: CoverageStudy,
    test: TestSet,
    seen: Activations,
    orders: Mapping[str, OrderSpread],
    progress: Progress,
) -> _Maps:
    if study.settings.budget == 0:
        return _NOTHING
    meter = MapMeter(study, test, Clock(study.settings.budget), progress)
    with runnable_file(study.detector.model) as file:
        in_float = evaluate(
            lambda: study.runtime.open(file), study.task, test.samples, "Evaluating FP32", progress
        )
    return _measured_within(meter, seen, orders, 100 * in_float.score.value)


def _measured_within(
    meter: MapMeter, seen: Activations, orders: Mapping[str, OrderSpread], float_map: float
) -> _Maps:
    """What tells most comes first: every calibrator once, and then the best one's."""
    grown = seen.grown
    whole = measure_whole(grown, meter)
    ranked = sorted(grown.calibrators, key=lambda name: -whole.get(grown.whole(name), 0.0))
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
    return _Maps(float_map, subsets, selected, candidates, len(meter.wanted), meter.measured)


def _learning(grown: Grown, maps: _Maps) -> Learning | None:
    if len(grown.sizes) == 1:
        return None
    found = spreads(grown, maps.subsets)
    return Learning(
        grown.sizes,
        grown.seeds,
        TOLERANCE,
        MAP_TOLERANCE,
        learning_points(grown, maps.subsets),
        found,
        enough(grown, found, maps.subsets),
        maps.planned,
        maps.measured,
    )


def _order_maps(grown: Grown, order: OrderSpread, maps: _Maps) -> tuple[OrderMap, ...]:
    """The measured orders, the narrowest and the widest first."""
    extremes = extreme_orders(grown, order.calibrator)
    return tuple(
        OrderMap(seed, grown.first[seed], points)
        for seed in dict.fromkeys([*extremes, *grown.seeds])
        if (points := maps.subsets.get(grown.whole(order.calibrator, seed))) is not None
    )


def _selection(study: CoverageStudy, shown: Shown, seen: Activations, maps: _Maps, out: Path) -> Selection:
    source = (study.pool or study.calibration).source
    checks = tuple(_check(name, seen, maps) for name in seen.selected_ranges)
    chosen = written(out, source, shown.candidates, seen.cover)
    return Selection(source, len(shown.candidates), seen.cover.wanted, DETECTIONS, LIST_FILE, chosen, checks)


def _check(calibrator: str, seen: Activations, maps: _Maps) -> SelectionCheck:
    found = check_of(calibrator, seen.selected_ranges[calibrator], seen.candidate_ranges[calibrator])
    return replace(
        found,
        map50_95=maps.selected.get(calibrator),
        pool_map50_95=maps.candidates.get(calibrator),
    )


def _sets(study: CoverageStudy) -> tuple[ImageSet, ...]:
    sets = [_image_set("calibration", study.calibration.source, study.calibration.samples)]
    if study.test:
        sets.append(_image_set("test", str(study.test.dataset.source), study.test.samples))
    if study.pool:
        sets.append(_image_set("pool", study.pool.source, study.pool.samples))
    return tuple(sets)


def _image_set(role: str, source: str, samples: Sequence[Sample]) -> ImageSet:
    return ImageSet(role, source, len(samples), ids_sha256(sample.id for sample in samples))
