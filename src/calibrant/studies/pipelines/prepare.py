"""From a folder to a checked study of each of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibrant.calibrators import NamedCalibrator, known_calibrators
from calibrant.core.errors import NothingQuantizedError, SettingsError
from calibrant.core.metrics import Metric
from calibrant.core.own_metric import OwnMetric
from calibrant.core.progress import Progress, SayingOnce
from calibrant.core.tasks import Reading
from calibrant.core.types import Runtime
from calibrant.models.onnx.memory import footprint
from calibrant.models.onnx.model_folders import model_folder
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.parts import PartTask
from calibrant.studies.memory import within_memory
from calibrant.studies.prepare import OpenedParts, open_parts, prepare_study
from calibrant.studies.request import StudyRequest, open_study
from calibrant.studies.run import Study


@dataclass(frozen=True)
class PipelineStudy:
    """The studies of a model's parts, in the order in which data flows; each knows the others in float.

    stays_float: parts in which nothing is quantized, with the reason. max_loss: what the whole may lose.
    """

    opened: OpenedParts
    studies: Mapping[str, Study]
    stays_float: Mapping[str, str]
    request: StudyRequest

    @property
    def weights(self) -> dict[str, int]:
        """Bytes of each part's weights, of those too that stay in float."""
        return {part: footprint(model).weights for part, model in self.opened.models.items()}

    @property
    def metric(self) -> Metric:
        """What all parts are measured by."""
        return next(iter(self.studies.values())).metric

    @property
    def max_loss(self) -> float | None:
        """What the whole may lose, in the metric's unit; None: any."""
        return self.request.settings.max_loss

    def request_of(self, part: str) -> StudyRequest:
        """What opens the study of one part again."""
        settings = replace(self.request.settings, max_loss=None)
        return replace(self.request, part=part, settings=settings)

    def with_studies(self, studies: Mapping[str, Study]) -> PipelineStudy:
        """The same with other studies of its parts."""
        return replace(self, studies=studies)


def fitting_memory(
    opened: Study | PipelineStudy, limit: int | None, progress: Progress
) -> Study | PipelineStudy:
    """As within_memory, of each part. Raises SettingsError."""
    if isinstance(opened, PipelineStudy):
        studies = opened.studies.items()
        return opened.with_studies({part: within_memory(study, limit, progress) for part, study in studies})
    return within_memory(opened, limit, progress)


def is_pipeline(request: StudyRequest) -> bool:
    """Whether a request is for all parts of a model that has several. Raises ModelError or DataError."""
    folder = None if request.part else model_folder(Path(request.model))
    return folder is not None and len(folder.parts) > 1


def open_to_run(
    request: StudyRequest,
    progress: Progress,
    calibrators: Sequence[NamedCalibrator] | None = None,
    metric: OwnMetric | None = None,
    *,
    runtime: Runtime | None = None,
    is_dry: bool = False,
) -> Study | PipelineStudy:
    """What a request is for, opened and checked. Arguments as for open_study. Raises CalibrantError."""
    if not is_pipeline(request):
        return open_study(request, progress, calibrators, runtime, is_dry=is_dry, metric=metric)
    if metric is not None:
        raise SettingsError(f"--metric does not apply to models of several parts, such as {request.model}")
    return open_pipeline(request, progress, calibrators, runtime, is_dry=is_dry)


def open_pipeline(
    request: StudyRequest,
    progress: Progress,
    calibrators: Sequence[NamedCalibrator] | None = None,
    runtime: Runtime | None = None,
    *,
    is_dry: bool = False,
) -> PipelineStudy:
    """Open and check every part of a model of several, before any work. Arguments as for open_study.

    Raises CalibrantError.
    """
    folder = model_folder(Path(request.model))
    assert folder is not None
    settings, notes = request.settings, SayingOnce(progress)
    if settings.input_shape is not None:
        raise SettingsError(
            f"{folder.path} has several parts, each with inputs of its own; leave --input-shape out"
        )
    opened = open_parts(folder, request.task, request.family, settings.options)
    chosen = calibrators if calibrators is not None else known_calibrators(request.calibrators)
    # What only describes work starts no other program.
    engine = runtime or runtime_named(REFERENCE if is_dry else settings.runtime, progress)
    first = opened.part(next(iter(opened.models)))
    test = first.test_set(request.data, Reading(request.limit, request.skip_bad))
    calibration = first.calibration_set(request.calib, Reading(request.calib_limit, request.skip_bad))
    own = replace(settings, max_loss=None)
    studies, stays_float = {}, {}
    for part in opened.models:
        try:
            studies[part] = prepare_study(
                opened.part(part), calibration, test, chosen, engine, own, notes, is_dry=is_dry
            )
        except NothingQuantizedError as error:
            stays_float[part] = str(error)
            notes.note(f"part {part} stays in float: {error}")
    if not studies:
        raise SettingsError(f"nothing in {folder.path} is quantized: {next(iter(stays_float.values()))}")
    return PipelineStudy(opened, studies, stays_float, request)


def part_task(study: Study) -> PartTask:
    """The task of a study of one part."""
    assert isinstance(study.task, PartTask)
    return study.task
