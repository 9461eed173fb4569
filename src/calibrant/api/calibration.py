"""Calibration alone: files to deploy, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calibrant.api.arguments import Calibrators, PathLike, Shape, chosen_calibrators, settings_of
from calibrant.artifacts.store import output_folder
from calibrant.calibrators import DEFAULT_CALIBRATORS, NamedCalibrator
from calibrant.core.errors import NothingQuantizedError, SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.short_repr import ShortRepr
from calibrant.core.tasks import AUTO, MODEL, Reading
from calibrant.core.types import Runtime
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.model_folders import model_folder
from calibrant.runtimes import runtime_named
from calibrant.stages.collect import collect
from calibrant.studies.candidates import Candidate, CandidateFormat, write_candidates
from calibrant.studies.deploy import as_tensorrt_computes
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import OpenedModel, open_to_calibrate, quant_plan, require_readable
from calibrant.studies.remarks import on_activations, on_empty, on_graph
from calibrant.studies.replacing import place_for, require_free
from calibrant.targets.tensorrt.inner import with_inner_tensors
from calibrant.targets.tensorrt.tensors import CalibratedTensors, calibrated_tensors


@dataclass(frozen=True)
class CalibratedCandidate:
    """One calibrator's files; ``failure`` says why there are none."""

    calibrator: str
    cache: str | None
    qdq: str | None
    failure: str | None


@dataclass(frozen=True, repr=False)
class CalibrationResult(ShortRepr):
    """What calibrate wrote: from how many samples, scales of how many tensors."""

    model: str
    task: str
    family: str
    samples: int
    tensors: int
    candidates: tuple[CalibratedCandidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**asdict(self), "candidates": [asdict(candidate) for candidate in self.candidates]}


def calibrate(
    model: PathLike,
    calib: PathLike,
    out: PathLike,
    *,
    calibrators: Calibrators = DEFAULT_CALIBRATORS,
    tensors: str = "quantized",
    task: str = AUTO,
    family: str = AUTO,
    calib_limit: int | None = None,
    input_shape: Shape = None,
    skip_bad: bool = False,
    runtime: str = "onnxruntime",
    scheme: str = "tensorrt",
    deploy: str | None = None,
    exclude: str | Sequence[str] = (),
    keep_head_float: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> CalibrationResult:
    """Write ``<calibrator>.cache`` and ``<calibrator>.qdq.onnx`` into ``out`` for every calibrator.

    No labels are needed, and no family: where neither task nor family is named, any model is calibrated,
    with arrays for its inputs (a ``.npz`` by their names) or with images. Of a model of several files each
    part is calibrated while the others run in float, into a folder of its name.

    tensors: "quantized" for the inputs of quantized layers, "all" for the
    set that TensorRT's own caches hold, as scheme tensorrt-implicit always has it. Schemes that are not
    symmetric int8 have no caches. overwrite: a finished run in ``out`` is replaced. Other
    arguments as for study. Raises CalibrantError.
    """
    listener = progress or Silent()
    require_free(Path(out), None, overwrite)
    settings = settings_of(
        options,
        scheme=scheme,
        deploy=deploy,
        runtime=runtime,
        exclude=exclude,
        keep_head_float=keep_head_float,
        input_shape=input_shape,
    )
    chosen, engine = chosen_calibrators(calibrators), runtime_named(runtime, listener)
    folder = model_folder(Path(model))
    parts = tuple(folder.parts) if folder is not None and len(folder.parts) > 1 else ("",)
    with output_folder(Path(out)) as target, place_for(target) as place:
        found = []
        for part in parts:
            opened = open_to_calibrate(
                Path(model), str(calib), task, family, settings.input_shape, settings.options, part
            )
            reading = Reading(calib_limit, skip_bad)
            work = _Work(opened, settings, chosen, engine, str(calib), reading, tensors, listener)
            try:
                found.append(work.calibrated(place / part, Path(out) / part))
            except NothingQuantizedError as error:
                if len(parts) == 1:
                    raise
                listener.note(f"part {part} stays in float: {error}")
    return _together(str(model), found)


@dataclass(frozen=True)
class _Work:
    """What is calibrated: a model of one file, or one part while the others run in float."""

    opened: OpenedModel
    settings: StudySettings
    chosen: Sequence[NamedCalibrator]
    engine: Runtime
    calib: str
    reading: Reading
    tensors: str
    progress: Progress

    def calibrated(self, place: Path, shown: Path) -> CalibrationResult:
        """Write the candidates into ``place``, which is to be ``shown``."""
        opened, engine, progress = self.opened, self.engine, self.progress
        plan = quant_plan(opened, self.settings)
        calibration = opened.calibration_set(self.calib, self.reading)
        for warning in (*calibration.warnings, *on_graph(plan.model, plan.points)):
            progress.note(warning)
        tensors = "all" if plan.scheme.rounds_fused_layers else self.tensors
        if tensors == "all" and not plan.scheme.has_caches:
            scheme = self.settings.scheme
            raise SettingsError(f"scheme {scheme} has no caches to hold all tensors; use --scheme tensorrt")
        observed = as_tensorrt_computes(plan.model) if tensors == "all" else plan.model
        written_as = CandidateFormat(calibrated=_calibrated_tensors(tensors, opened.model))
        wanted = written_as.tensors(plan)
        bound = opened.task()
        require_readable(opened, plan, bound, calibration.samples[0], engine)
        statistics = collect(observed, wanted, bound, engine, calibration.samples, progress)
        known = plan.observed(statistics.tensors)
        for remark in (
            *on_empty(len(plan.tensors) - len(known.tensors), bound.words),
            *on_activations(statistics, known.tensors, bound.words),
        ):
            progress.note(remark)
        place.mkdir(exist_ok=True)
        written = write_candidates(known, statistics, self.chosen, place, written_as)
        name = f"{opened.part}/" if opened.part != MODEL else ""
        return CalibrationResult(
            model=str(opened.model.path),
            task=bound.name,
            family=opened.recognition.family,
            samples=len(calibration.samples),
            tensors=len(wanted),
            candidates=tuple(_calibrated(candidate, shown, name) for candidate in written),
        )


def _together(model: str, found: Sequence[CalibrationResult]) -> CalibrationResult:
    """The results of all parts as one. Raises NothingQuantizedError where there is none."""
    if not found:
        raise NothingQuantizedError(f"nothing in {model} is quantized")
    return replace(
        found[0],
        model=model,
        tensors=sum(result.tensors for result in found),
        candidates=tuple(candidate for result in found for candidate in result.candidates),
    )


def _calibrated_tensors(tensors: str, model: Model) -> CalibratedTensors | None:
    if tensors == "all":
        return calibrated_tensors(with_inner_tensors(model))
    if tensors == "quantized":
        return None
    raise SettingsError(f"tensors {tensors!r} means nothing; use 'quantized' or 'all'")


def _calibrated(candidate: Candidate, folder: Path, part: str) -> CalibratedCandidate:
    return CalibratedCandidate(
        f"{part}{candidate.calibrator.name}",
        str(folder / candidate.cache.name) if candidate.cache else None,
        str(folder / candidate.qdq.name) if candidate.qdq else None,
        candidate.failure,
    )
