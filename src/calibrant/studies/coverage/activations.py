"""What the activations of all sets say: every pass over samples through the open model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.progress import Progress
from calibrant.core.types import Range, Sample
from calibrant.stages.calibrate import ranges_from
from calibrant.stages.coverage.passes import Passes, open_passes
from calibrant.stages.coverage.summary import SetSummary, random_halves, summarised
from calibrant.studies.coverage.growth import Grown, Ranges, grow
from calibrant.studies.coverage.looks import SetLooks
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.representation import SPLITS, compared
from calibrant.studies.coverage.result import Representation
from calibrant.studies.coverage.selection import Cover, covering


@dataclass(frozen=True)
class Activations:
    """``candidate_ranges`` and ``selected_ranges`` are by calibrator, from all candidates and the chosen."""

    grown: Grown
    representation: Representation | None
    cover: Cover
    candidate_ranges: Mapping[str, Ranges]
    selected_ranges: Mapping[str, Ranges]


def observe_sets(study: CoverageStudy, shown: SetLooks, progress: Progress) -> Activations:
    """Run the float model over all sets. Raises NumericsError or RuntimeFailedError."""
    plan, calibration = study.plan, study.calibration.samples
    with open_passes(plan.model, plan.tensors, study.task, study.runtime) as passes:
        grown = grow(study, passes, progress)
        observer = _Observer(study, passes, progress, _by_calibrator(grown))
        halves = random_halves(len(calibration), SPLITS, study.settings.study.seed)
        own = observer.summary(calibration, "calibration", halves)
        representation = None
        if study.test:
            test = observer.summary(study.test.samples, "test")
            representation = compared(own, test, observer.ranges, "test")
        candidates, candidate_ranges = own, observer.ranges
        if study.pool:
            candidates = observer.summary(study.pool.samples, "pool")
            candidate_ranges = observer.collected(study.pool.samples, "pool")
            representation = representation or compared(own, candidates, observer.ranges, "pool")
        kept = list(shown.kept)
        cover = covering(plan.tensors, candidates.lows[kept], candidates.highs[kept], shown.candidate_looks)
        chosen = [shown.candidates[index] for index, _ in cover.chosen]
        selected = observer.collected(chosen, "selection") if chosen else {}
        return Activations(grown, representation, cover, candidate_ranges, selected)


@dataclass(frozen=True)
class _Observer:
    study: CoverageStudy
    passes: Passes
    progress: Progress
    ranges: dict[str, Ranges]

    def summary(
        self,
        samples: Sequence[Sample],
        role: str,
        halves: np.ndarray[tuple[int, int], np.dtype[np.bool_]] | None = None,
    ) -> SetSummary:
        """The activations of a set of samples, with the values outside every calibrator's range."""
        tensors = self.study.plan.tensors
        per_tensor: dict[str, list[Range]] = {
            tensor: [chosen[tensor] for chosen in self.ranges.values()] for tensor in tensors
        }
        seen = self.passes.summaries(samples, per_tensor, self.progress, f"Comparing {role}")
        splits = np.zeros((0, len(samples)), np.bool_) if halves is None else halves
        return summarised(tensors, seen, len(self.ranges), splits)

    def collected(self, samples: Sequence[Sample], role: str) -> dict[str, Ranges]:
        """Every calibrator's ranges from these samples alone."""
        (statistics,) = self.passes.growing(samples, (len(samples),), self.progress, f"Calibrating {role}")
        spec, ties = self.study.plan.scheme.activations, self.study.plan.ties
        return {c.name: ranges_from(statistics, c, spec, ties) for c in self.study.calibrators}


def _by_calibrator(grown: Grown) -> dict[str, Ranges]:
    return {name: grown.ranges[grown.whole(name)] for name in grown.calibrators}
