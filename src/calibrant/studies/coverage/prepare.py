"""From paths and names to a checked coverage study: what can be wrong is found here, before work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import DataError, SettingsError
from calibrant.core.progress import Progress
from calibrant.core.tasks import Reading, SampleSet, Task
from calibrant.core.types import Runtime
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.candidates import QuantPlan
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import OpenedModel, open_model, quant_plan, referring, require_readable
from calibrant.tasks.registry import options_to_dict


@dataclass(frozen=True)
class CoverageSettings:
    """What the user decided; ``study`` is what a study would be given.

    shuffles: random orders of the calibration set. budget: seconds for measuring scores; an evaluation that
    is not expected to end in time is not begun. Raises SettingsError for a number outside its limits.
    """

    study: StudySettings = field(default_factory=StudySettings)
    shuffles: int = 5
    budget: float = 300.0

    def __post_init__(self) -> None:
        if self.shuffles < 2:
            raise SettingsError(f"{self.shuffles} shuffles show no spread; use 2 or more, e.g. --shuffles 5")
        if self.budget < 0:
            raise SettingsError(f"a budget of {self.budget:g} s is negative; use 0 to measure no score")

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**self.study.to_dict(), "shuffles": self.shuffles, "budget": self.budget}


@dataclass(frozen=True)
class CoverageStudy:
    """Everything a coverage study needs, checked before the work begins.

    ``test`` and ``pool`` are None where they were not given.
    """

    opened: OpenedModel
    plan: QuantPlan
    task: Task
    runtime: Runtime
    calibrators: tuple[NamedCalibrator, ...]
    calibration: SampleSet
    test: SampleSet | None
    pool: SampleSet | None
    settings: CoverageSettings
    warnings: tuple[str, ...]


def open_coverage_study(
    model: Path,
    calib: str,
    data: Path | None,
    pool: str | None,
    calibrators: Sequence[NamedCalibrator],
    settings: CoverageSettings,
    task: str,
    family: str,
    limits: tuple[int | None, int | None],
    skip_bad: bool,
    progress: Progress,
    part: str = "",
) -> CoverageStudy:
    """Open and check everything; ``limits`` are of the test and of the calibration samples.

    part: which one, of a model of several files whose others stay in float.

    Raises CalibrantError.
    """
    runtime = runtime_named(REFERENCE, progress)
    own = settings.study
    opened = open_model(model, task, family, own.input_shape, own.options, part)
    settings = replace(settings, study=replace(own, options=options_to_dict(opened.options)))
    plan = quant_plan(opened, settings.study)
    calibration = opened.calibration_set(calib, Reading(limits[1], skip_bad))
    test = opened.test_set(str(data), Reading(limits[0], skip_bad)) if data else None
    candidates = opened.calibration_set(pool, Reading(None, skip_bad)) if pool else None
    if candidates and any(getattr(sample, "path", None) is None for sample in candidates.samples):
        samples = opened.definition.words.samples
        raise DataError(f"the pool '{pool}' holds arrays; give a folder of {samples}, a glob or a list file")
    warnings = [warning for part in (test, calibration, candidates) if part for warning in part.warnings]
    for warning in warnings:
        progress.note(warning)
    bound = opened.task(test)
    require_readable(opened, plan, bound, calibration.samples[0], runtime)
    if test and bound.needs_reference:
        bound = referring(opened, bound, test.samples, runtime)
    return CoverageStudy(
        opened,
        plan,
        bound,
        runtime,
        tuple(calibrators),
        calibration,
        test,
        candidates,
        settings,
        tuple(warnings),
    )
